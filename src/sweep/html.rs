//! The synthesis as one page that needs nothing else, and runs no script.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::text::headline;
use super::{CellResult, Scaling, Synthesis};
use crate::report::{html_escape, page_head, plain};

const STYLE: &str = include_str!("sweep.css");
/// Size of a plot, in pixels of its own.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;
/// Room for the labels of the axes.
const MARGIN: f64 = 34.0;
/// Plots on one page.
const PLOTS_MAX: usize = 60;

/// The page.
pub fn html(s: &Synthesis) -> String {
    let headline = headline(s);
    let mut page = page_head(&headline, STYLE);
    let _ = write!(
        page,
        "<h1>{}</h1>\n<p class=\"origins\">sweep {} · {:.0} s, of {:.0} s of cells</p>\n",
        html_escape(&headline),
        html_escape(&s.run),
        s.makespan_s,
        s.cell_seconds,
    );
    cards(&mut page, s);
    if !s.look_at.is_empty() {
        page.push_str("<h2>Look at</h2>\n<ul class=\"problems\">");
        for line in &s.look_at {
            let _ = write!(page, "<li>{}</li>", html_escape(line));
        }
        page.push_str("</ul>\n");
    }
    if !s.scaling.is_empty() {
        heat_map(&mut page, &s.scaling);
        page.push_str("<h2>Scaling</h2>\n<div class=\"figures\">\n");
        s.scaling.iter().take(PLOTS_MAX).for_each(|series| plot(&mut page, series));
        page.push_str("</div>\n");
        if s.scaling.len() > PLOTS_MAX {
            let more = s.scaling.len() - PLOTS_MAX;
            let _ = writeln!(page, "<p class=\"origins\">{more} more are in the table above</p>");
        }
    }
    extremes(&mut page, s);
    page.push_str(
        "<h2>Cells</h2>\n<div class=\"wide\"><table>\n<tr><th>Cell</th><th>Status</th>\
         <th class=\"number\">Performance</th><th>Metric</th><th class=\"number\">Seconds</th>\
         <th>Command</th></tr>\n",
    );
    s.cells.iter().for_each(|cell| row(&mut page, cell));
    let _ = write!(
        page,
        "</table></div>\n<footer>mad {}</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    page
}

fn cards(page: &mut String, s: &Synthesis) {
    page.push_str("<div class=\"cards\">");
    for (count, word, class) in [
        (s.counts.passed, "with numbers", "good"),
        (s.counts.failed, "failed", "bad"),
        (s.counts.unresolved, "unresolved", "bad"),
        (s.counts.skipped, "skipped", "warn"),
        (s.counts.not_run, "not run", "warn"),
    ] {
        let class = if count > 0 { class } else { "" };
        let _ = write!(page, "<div class=\"card {class}\"><b>{count}</b><span>{word}</span></div>");
    }
    page.push_str("</div>\n");
}

fn row(page: &mut String, cell: &CellResult) {
    let lines = |of: &dyn Fn(&super::Number) -> String| match cell.numbers.is_empty() {
        true => "-".to_owned(),
        false => cell.numbers.iter().map(|n| html_escape(&of(n))).collect::<Vec<_>>().join("<br>"),
    };
    let reason = match cell.reason.is_empty() {
        true => String::new(),
        false => format!("<div class=\"reason\">{}</div>", html_escape(&cell.reason)),
    };
    let _ = writeln!(
        page,
        "<tr><td>{}{reason}</td><td class=\"{}\">{}</td><td class=\"number\">{}</td><td>{}</td>\
         <td class=\"number\">{:.1}</td><td><code>{}</code></td></tr>",
        html_escape(&cell.id),
        cell.status.word(),
        cell.status.word(),
        lines(&|n| plain(n.value)),
        lines(&|n| n.key.clone()),
        cell.duration_s,
        html_escape(&cell.command),
    );
}

fn extremes(page: &mut String, s: &Synthesis) {
    if s.extremes.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Fastest and slowest</h2>\n<div class=\"wide\"><table>\n<tr><th>Metric</th>\
         <th>Fastest</th><th></th><th>Slowest</th><th></th></tr>\n",
    );
    for e in &s.extremes {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td><td>{}</td>\
             <td class=\"number\">{}</td></tr>",
            html_escape(&e.metric),
            html_escape(&e.best.0),
            plain(e.best.1),
            html_escape(&e.worst.0),
            plain(e.worst.1),
        );
    }
    page.push_str("</table></div>\n");
}

/// Efficiency by series and GPU count.
fn heat_map(page: &mut String, all: &[Scaling]) {
    let counts: BTreeSet<u32> = all.iter().flat_map(|s| &s.points).map(|p| p.n_gpus).collect();
    page.push_str("<h2>Share of ideal scaling</h2>\n<div class=\"wide\"><table class=\"heat\">\n");
    page.push_str("<tr><th>Entry</th><th>Metric</th>");
    for n in &counts {
        let _ = write!(page, "<th>{n} GPU{}</th>", if *n == 1 { "" } else { "s" });
    }
    page.push_str("</tr>\n");
    for series in all {
        let by_count: BTreeMap<u32, f64> =
            series.points.iter().map(|p| (p.n_gpus, p.efficiency)).collect();
        let _ = write!(
            page,
            "<tr><th>{}</th><th>{}</th>",
            html_escape(&series.series),
            html_escape(&series.metric)
        );
        for n in &counts {
            match by_count.get(n) {
                None => page.push_str("<td>-</td>"),
                Some(e) => {
                    let _ = write!(page, "<td class=\"h{}\">{:.0} %</td>", heat(*e), 100.0 * e);
                }
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
}

fn heat(efficiency: f64) -> u8 {
    match efficiency {
        e if e < 0.5 => 0,
        e if e < 0.7 => 1,
        e if e < 0.9 => 2,
        _ => 3,
    }
}

/// Speed-up over GPUs, beside the ideal.
fn plot(page: &mut String, series: &Scaling) {
    let base = f64::from(series.points[0].n_gpus);
    let most = series.points.iter().map(|p| f64::from(p.n_gpus) / base).fold(1.0, f64::max);
    let top = series.points.iter().map(|p| p.speedup).fold(most, f64::max);
    let x = |gpus: f64| MARGIN + (WIDTH - 2.0 * MARGIN) * (gpus / base - 1.0) / (most - 1.0);
    let y = |speedup: f64| HEIGHT - MARGIN - (HEIGHT - 1.5 * MARGIN) * speedup / top;
    let label = format!("{}: {}", series.series, series.metric);
    let label = html_escape(&label);
    let (left, bottom) = (MARGIN, HEIGHT - MARGIN);
    let _ = write!(
        page,
        "<figure><figcaption>{label}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"speed-up of {label}\">\
         <path class=\"axis\" fill=\"none\" d=\"M{left} {:.1}V{bottom}H{:.1}\"/>\
         <path class=\"ideal\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
        MARGIN / 2.0,
        WIDTH - MARGIN / 2.0,
        x(base),
        y(1.0),
        x(base * most),
        y(most),
    );
    let mut path = String::new();
    for (i, p) in series.points.iter().enumerate() {
        let (px, py) = (x(f64::from(p.n_gpus)), y(p.speedup));
        let _ = write!(path, "{}{px:.1} {py:.1}", if i == 0 { "M" } else { "L" });
        let _ = write!(
            page,
            "<circle class=\"dot\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3.5\"><title>{} GPUs: {} \
             ({:.2}×)</title></circle><text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            p.n_gpus,
            plain(p.value),
            p.speedup,
            bottom + 14.0,
            p.n_gpus,
        );
    }
    let _ = writeln!(
        page,
        "<path class=\"line\" d=\"{path}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">GPUs</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{top:.1}×</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">1×</text></svg></figure>",
        WIDTH / 2.0,
        HEIGHT - 4.0,
        left - 5.0,
        y(top) + 4.0,
        left - 5.0,
        y(1.0) + 4.0,
    );
}
