//! The report for a pull request or a job summary.

use std::fmt::Write as _;

use super::build::labels;
use super::text::{better, directions, origins, verdict};
use super::{Conclusion, Report, Row, plain};

/// Bytes of a report at most: GitHub takes comments of 65 536 characters.
pub const MARKDOWN_MAX: usize = 60_000;

/// Bytes that are left for what comes behind a table that was cut.
const RESERVE: usize = 2_000;

/// Longest explanation of one row, in bytes.
const EXPLANATION_MAX: usize = 2_000;

/// The report as GitHub-flavoured Markdown. What does not fit is counted in it. Names are
/// literal text, whatever is in them: no markup, no link, nobody is mentioned.
///
/// Its first line is a comment by which a program finds what it posted before.
pub fn markdown(report: &Report) -> String {
    let (first, further) = report.headline_parts();
    let further = further.map(|rest| format!(" · {}", escape(rest))).unwrap_or_default();
    let mut text = format!("<!-- mad-report -->\n**{}**{further}\n\n", escape(first));
    let _ = writeln!(text, "{}\n", escape(&origins(report)));
    for problem in report.problems.iter().take(10) {
        let _ = writeln!(text, "- **problem:** {}", escape(cut(problem, EXPLANATION_MAX)));
    }
    if report.problems.len() > 10 {
        let _ = writeln!(text, "- and {} more problems", report.problems.len() - 10);
    }
    if !report.problems.is_empty() {
        text.push('\n');
    }
    let labels = labels(&report.rows);
    let rows: Vec<(&Row, &str)> =
        report.rows.iter().zip(labels.iter().map(String::as_str)).collect();
    // Sorted by what needs attention, so the quiet ones are at the end.
    let loud = match report.compared_to {
        Some(_) => rows.iter().take_while(|(row, _)| !is_quiet(row)).count(),
        None => rows.len(),
    };
    table(&mut text, report, &rows[..loud]);
    explanations(&mut text, &rows[..loud]);
    if loud < rows.len() {
        let _ = writeln!(
            text,
            "<details><summary>{} without a change that matters</summary>\n",
            rows.len() - loud
        );
        table(&mut text, report, &rows[loud..]);
        text.push_str("</details>\n\n");
    }
    for note in report.notes.iter().cloned().chain(directions(report)) {
        let note = escape(cut(&note, 300));
        if text.len() + note.len() < MARKDOWN_MAX {
            let _ = writeln!(text, "<sub>{note}</sub><br>");
        }
    }
    text
}

fn is_quiet(row: &Row) -> bool {
    use Conclusion::{NoBaseline, NotMeasured, Same};
    matches!(row.conclusion, Some(NoBaseline | NotMeasured | Same))
        || row.conclusion.is_none() && row.status != super::Status::Failure
}

fn table(text: &mut String, report: &Report, rows: &[(&Row, &str)]) {
    if rows.is_empty() {
        return;
    }
    text.push_str(match report.compared_to {
        Some(_) => {
            "| model | metric | better | before | now | change | verdict |\n\
             |---|---|---|--:|--:|--:|---|\n"
        }
        None => {
            "| model | status | performance | metric | change | verdict |\n\
             |---|---|--:|---|--:|---|\n"
        }
    });
    let mut shown = 0;
    for (row, label) in rows {
        let (model, metric) = (code(label), code(&row.metric));
        let (now, change) = (escape(&row.shown()), row.shown_change());
        let word = match row.conclusion {
            Some(Conclusion::Regressed) => "**regressed**",
            _ => verdict(row),
        };
        let line = match report.compared_to {
            Some(_) => {
                let before = row.baseline.map(plain).unwrap_or_default();
                let better = better(row);
                format!(
                    "| {model} | {metric} | {better} | {before} | {now} | {change} | {word} |\n"
                )
            }
            None => {
                let status = row.status.word();
                format!("| {model} | {status} | {now} | {metric} | {change} | {word} |\n")
            }
        };
        if text.len() + line.len() > MARKDOWN_MAX - RESERVE {
            break;
        }
        text.push_str(&line);
        shown += 1;
    }
    text.push('\n');
    if shown < rows.len() {
        let _ = writeln!(
            text,
            "{} more rows do not fit here; `--format html` and `json` have them all.\n",
            rows.len() - shown
        );
    }
}

/// Why, for the rows where somebody will ask.
fn explanations(text: &mut String, rows: &[(&Row, &str)]) {
    let asked: Vec<_> = rows.iter().filter(|(row, _)| row.needs_words()).collect();
    if asked.is_empty() {
        return;
    }
    let mut list = String::new();
    let mut shown = 0;
    for (row, label) in &asked {
        let mut said = cut(&row.explanation, EXPLANATION_MAX).to_owned();
        for further in row.settle.iter().chain(&row.notes) {
            let _ = write!(said, "\n{}", cut(further, EXPLANATION_MAX));
        }
        let block = format!("{} {}\n{}\n", code(label), code(&row.metric), fenced(&said));
        if text.len() + list.len() + block.len() > MARKDOWN_MAX - RESERVE {
            break;
        }
        list.push_str(&block);
        shown += 1;
    }
    if shown < asked.len() {
        let _ = writeln!(list, "and {} more", asked.len() - shown);
    }
    let _ =
        writeln!(text, "<details><summary>Why ({})</summary>\n\n{list}\n</details>\n", asked.len());
}

/// At most `max` bytes of a text, and a mark where it goes on.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// A name as code: as a code span where that is literal, else in entities.
pub(crate) fn code(name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let hard = |c: char| matches!(c, '`' | '|' | '\\') || c.is_control();
    let edge = |c: char| c == ' ';
    if !name.contains(hard) && !name.starts_with(edge) && !name.ends_with(edge) {
        return format!("`{name}`");
    }
    let mut code = "<code>".to_owned();
    for c in name.chars() {
        match c {
            c if c.is_control() => code.push_str("&nbsp;"),
            c if c.is_ascii_punctuation() => {
                let _ = write!(code, "&#{};", c as u32);
            }
            c => code.push(c),
        }
    }
    code + "</code>"
}

/// Running text without markup.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // The word joiner keeps names of people and numbers of issues from being one.
            '@' | '#' => {
                escaped.push(c);
                escaped.push('\u{2060}');
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    // What looks like an address becomes no link.
    escaped.replace("://", "\\://").replace("www.", "www\u{2060}.")
}

/// A block that nothing in the text ends.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let clean: String =
        text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    format!("{fence}text\n{clean}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_literal() {
        assert_eq!(code("pyt_vllm"), "`pyt_vllm`");
        assert_eq!(code("a|b"), "<code>a&#124;b</code>");
        assert_eq!(code("a`\n<b>"), "<code>a&#96;&nbsp;&#60;b&#62;</code>");
        assert_eq!(code("</details> @all"), "`</details> @all`");
        assert_eq!(
            escape("<b>*x* [a](http://b) @all #1"),
            "&lt;b&gt;\\*x\\* \\[a\\](http\\://b) @\u{2060}all #\u{2060}1"
        );
    }

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        assert_eq!(fenced("a"), "```text\na\n```\n");
        assert!(fenced("a ````` b").starts_with("``````text\n"));
    }
}
