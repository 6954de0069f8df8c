//! A diagnosis as a picture: one SVG, or one HTML page around it, that need nothing else.

use std::fmt::Write as _;

use super::diagnosis::Diagnosis;
use super::rules::percent;
use super::text::{duration, number, remarks};
use crate::report::html_escape as escape;

const STYLE: &str = include_str!("picture.css");

/// Bars of hotspots.
const BARS: usize = 15;
/// Width of the picture, and of its margins.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
/// Characters of a name that fit beside its numbers.
const NAME: usize = 78;

/// Where the time went, as a bar chart: how busy the GPUs were and with what, then the
/// longest-running kernels.
pub fn svg(diagnosis: &Diagnosis) -> String {
    chart(diagnosis, &format!("<style>{STYLE}</style>"))
}

fn chart(d: &Diagnosis, style: &str) -> String {
    let inner = WIDTH - 2.0 * MARGIN;
    let mut body = String::new();
    let mut y = MARGIN + 16.0;
    let title = format!("bottleneck: {}", d.bottleneck.word());
    let _ = write!(body, "<text class=\"head\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", xml(&title));
    y += 22.0;
    let _ = write!(
        body,
        "<text class=\"soft\" x=\"{MARGIN}\" y=\"{y}\">{}</text>",
        xml(&short(&d.because, 130))
    );
    if let Some(sums) = &d.kernels {
        y += 36.0;
        let busy = d.gpu.as_ref().map(|g| g.busy_share);
        let what = match &d.gpu {
            Some(g) => {
                format!("GPU time: busy {} of {}", percent(g.busy_share), duration(g.window_s))
            }
            None => "kernel time by kind (when the kernels ran is not known)".to_owned(),
        };
        let _ = write!(body, "<text x=\"{MARGIN}\" y=\"{y}\">{}</text>", xml(&what));
        y += 10.0;
        rect(&mut body, "track", MARGIN, y, inner, 26.0, "idle");
        let mut x = MARGIN;
        for kind in &sums.kinds {
            let width = inner * kind.share * busy.unwrap_or(1.0);
            let told = format!("{} {}", kind.kind.word(), percent(kind.share));
            rect(&mut body, kind.kind.word(), x, y, width, 26.0, &told);
            x += width;
        }
        y += 46.0;
        let mut x = MARGIN;
        for kind in &sums.kinds {
            let told = format!("{} {}", kind.kind.word(), percent(kind.share));
            rect(&mut body, kind.kind.word(), x, y - 11.0, 12.0, 12.0, &told);
            let _ = write!(
                body,
                "<text class=\"soft\" x=\"{}\" y=\"{y}\">{}</text>",
                x + 17.0,
                xml(&told)
            );
            x += 36.0 + 7.2 * told.len() as f64;
        }
    }
    let longest = d.hotspots.first().map_or(1.0, |h| h.share);
    y += 14.0;
    for spot in d.hotspots.iter().take(BARS) {
        y += 28.0;
        let _ = write!(
            body,
            "<text x=\"{MARGIN}\" y=\"{y}\">{}</text>\
             <text class=\"soft\" x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
            xml(&short(&spot.name, NAME)),
            WIDTH - MARGIN,
            xml(&format!("{} · {} × {} µs", percent(spot.share), spot.calls, number(spot.mean_us))),
        );
        y += 7.0;
        rect(&mut body, "track", MARGIN, y, inner, 8.0, "");
        let width = inner * spot.share / longest;
        rect(&mut body, spot.kind.word(), MARGIN, y, width, 8.0, spot.kind.word());
        y += 8.0;
    }
    let height = y + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">{style}\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>{body}</svg>\n",
        xml(&d.headline())
    )
}

fn rect(out: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64, told: &str) {
    let title =
        if told.is_empty() { String::new() } else { format!("<title>{}</title>", xml(told)) };
    let _ = write!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" \
         height=\"{height}\">{title}</rect>",
        width.max(0.0)
    );
}

/// Text in XML, which has no place for most control characters.
fn xml(text: &str) -> String {
    escape(&text.replace(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'), " "))
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// The picture with the rules, the kernels and the notes, as one page without a script.
pub fn html(d: &Diagnosis) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n",
        title = xml(&d.headline())
    );
    let sources: Vec<String> = d
        .sources
        .iter()
        .map(|s| format!("{} ({}, {} calls)", s.path.display(), s.format.label(), s.calls))
        .collect();
    let _ = write!(page, "<p class=\"origins\">{}</p>\n<figure>", xml(&sources.join(" · ")));
    page.push_str(&chart(d, ""));
    page.push_str("</figure>\n");
    if !d.rules.is_empty() {
        page.push_str("<h2>Rules, in the order they are tried</h2><div class=\"wide\"><table>");
        page.push_str("<tr><th>rule</th><th>found</th><th>holds</th><th>concludes</th></tr>");
        for rule in &d.rules {
            let _ = write!(
                page,
                "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                if rule.holds { " class=\"holds\"" } else { "" },
                rule.rule,
                xml(&rule.evidence),
                if rule.holds { "yes" } else { "no" },
                rule.concludes.word()
            );
        }
        page.push_str("</table></div>\n");
    }
    if !d.hotspots.is_empty() {
        page.push_str(
            "<h2>Kernels</h2><div class=\"wide\"><table><tr><th class=\"number\">share</th>",
        );
        page.push_str(
            "<th>kind</th><th class=\"number\">calls</th><th class=\"number\">mean µs</th>",
        );
        page.push_str("<th>name</th></tr>");
        for spot in &d.hotspots {
            let _ = write!(
                page,
                "<tr><td class=\"number\">{}</td><td>{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td class=\"name\">{}</td></tr>",
                percent(spot.share),
                spot.kind.word(),
                spot.calls,
                number(spot.mean_us),
                xml(&spot.name)
            );
        }
        page.push_str("</table></div>\n");
    }
    if let Some(stack) = d.stack.as_ref().filter(|_| !d.levers.is_empty()) {
        let title = format!("Levers for {} ({})", stack.stack.word(), stack.because);
        let _ = write!(page, "<h2>{}</h2><div class=\"wide\"><table>", xml(&title));
        page.push_str("<tr><th>lever</th><th>values</th><th>why</th><th>evidence</th></tr>");
        for suggestion in &d.levers {
            let lever = &suggestion.lever;
            let _ = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{}{}</td><td>{}</td></tr>",
                xml(&lever.name),
                xml(&lever.values.join(", ")),
                xml(&lever.why),
                xml(&remarks(lever)),
                xml(&suggestion.evidence)
            );
        }
        page.push_str("</table></div>\n");
    }
    let left_out: Vec<String> =
        d.left_out.iter().map(|l| format!("{}: {}", l.path.display(), l.why)).collect();
    for (title, items) in [("Problems", &d.problems), ("Notes", &d.notes), ("Not read", &left_out)]
    {
        if !items.is_empty() {
            let _ = write!(page, "<h2>{title}</h2><ul>");
            for item in items {
                let _ = write!(page, "<li>{}</li>", xml(item));
            }
            page.push_str("</ul>\n");
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(page, "<p class=\"origins\">mad {version}, {}</p></body></html>", d.schema);
    page
}
