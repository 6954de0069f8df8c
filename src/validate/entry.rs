//! Rules about the values of one entry.

use std::path::{Component, Path};
use std::sync::LazyLock;

use regex::Regex;
use time::macros::format_description;

use super::Validator;
use super::rules::{contract, entry as rules, scripts};
use crate::catalog::{Contract, Model, split_commas};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::profile::levers::problems;

/// Timeouts above this are taken for a slip (a week).
const LONG_TIMEOUT: f64 = 7.0 * 24.0 * 3600.0;
/// The keys that mean a GPU count, first one first.
const GPU_KEYS: [&str; 5] = ["gpus_per_node", "gpu_count", "n_gpus", "num_gpus", "ngpus"];
/// Keys that an entry should have, whatever is in them.
const METADATA: [&str; 4] = ["owner", "tags", "n_gpus", "training_precision"];

impl Validator<'_> {
    /// Everything that needs no other file than the catalog's own.
    pub(super) fn entry(&self, model: &Model, found: &mut Vec<Diagnostic>) {
        name(model, found);
        metadata(model, found);
        tags(model, found);
        words(model, found);
        timeout(model, found);
        gpu_counts(model, found);
        architectures(model, found);
        self.data(model, found);
        slurm_multi(model, found);
        csv_name(model, found);
        self.unknown_keys(model, found);
        ranges(model, found);
        exceptions(model, found);
    }

    fn data(&self, model: &Model, found: &mut Vec<Diagnostic>) {
        // Without the file, the data sets are probably in the context.
        let Some(names) = model.entry().data.as_deref().filter(|_| self.data.has_file()) else {
            return;
        };
        for name in split_commas(names) {
            let problems: Vec<Diagnostic> = self.data.problems_of(name).cloned().collect();
            if problems.is_empty() && self.data.names().all(|known| known != name) {
                let message = format!("`data.json` has no data set `{name}`");
                let help = match did_you_mean(name, self.data.names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", self.data.names().collect::<Vec<_>>().join(", ")),
                };
                found.push(rules::NO_DATA.at(model.place("data"), message).help(help));
            }
            found.extend(problems);
        }
    }

    fn unknown_keys(&self, model: &Model, found: &mut Vec<Diagnostic>) {
        for key in model.raw().keys() {
            if key.starts_with('_') || self.known_keys.contains(key) {
                continue;
            }
            let candidates = self.known_keys.iter().map(String::as_str);
            // A key that is there under its right name, too, is no typo of it.
            let near = did_you_mean(key, candidates.filter(|k| !model.raw().contains_key(*k)));
            let close = near.filter(|near| strsim::damerau_levenshtein(key, near) <= 2);
            if let Some(near) = close {
                let message = format!("`{key}` is not a key of an entry");
                let help = format!("did you mean `{near}`?");
                let place = model.key_place(key);
                let span = place.span.clone().filter(|_| model.source().is_file());
                let diagnostic = rules::UNKNOWN_KEY.at(place, message).help(help);
                found.push(match span {
                    Some(span) => diagnostic.fix(span, format!("\"{near}\"")),
                    None => diagnostic,
                });
            }
        }
    }
}

fn name(model: &Model, found: &mut Vec<Diagnostic>) {
    let own = model.raw().get("name").and_then(|n| n.as_str()).unwrap_or(&model.name);
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let odd = own.chars().find(|c| !good(*c));
    let message = match (odd, own.chars().next()) {
        (Some(odd), _) => format!("the name holds {odd:?}"),
        (None, Some(first)) if !first.is_ascii_alphanumeric() => {
            format!("the name begins with {first:?}")
        }
        _ => return,
    };
    let help = "use letters, digits, `_`, `-` and `.`, and begin with a letter or digit";
    found.push(rules::ODD_NAME.at(model.place("name"), message).help(help));
}

fn metadata(model: &Model, found: &mut Vec<Diagnostic>) {
    let present = |key: &&str| match *key {
        "n_gpus" => GPU_KEYS.iter().any(|key| model.raw().contains_key(*key)),
        key => model.raw().contains_key(key),
    };
    let mut missing: Vec<String> =
        METADATA.iter().filter(|key| !present(key)).map(|key| format!("`{key}`")).collect();
    if model.raw().contains_key("tags") && model.tags().is_empty() {
        missing.push("any tag".to_owned());
    }
    if !missing.is_empty() {
        let message = format!("the entry lacks {}", missing.join(", "));
        found.push(rules::NO_METADATA.at(model.place("name"), message));
    }
}

fn tags(model: &Model, found: &mut Vec<Diagnostic>) {
    for tag in model.tags() {
        let why = match tag.as_str() {
            tag if tag.trim().is_empty() => "it is empty",
            "all" => "`all` selects every entry",
            tag if tag.trim() != tag => "selections are trimmed of white space",
            tag if tag.contains(',') => "selections are split at commas",
            tag if tag.contains(':') => "what follows `:` is an argument",
            tag if tag.contains('/') => "what stands before `/` is a scope",
            _ => continue,
        };
        let message = format!("the tag {tag:?} cannot be selected: {why}");
        found.push(rules::BAD_TAG.at(model.place("tags"), message));
    }
}

fn words(model: &Model, found: &mut Vec<Diagnostic>) {
    let entry = model.entry();
    for (key, text) in [
        ("args", &entry.args),
        ("additional_docker_run_options", &entry.additional_docker_run_options),
    ] {
        let Some(text) = text else { continue };
        if shell_words::split(text).is_err() {
            let message = format!("`{key}` has a quote that is never closed");
            found.push(rules::BAD_WORDS.at(model.place(key), message));
        } else if let Some(special) = expansion(text) {
            let message =
                format!("a shell would act on {special} in `{key}`; it is passed as it is");
            let help = "quote it if it is meant literally, else do it in the script";
            found.push(rules::EXPANSION.at(model.place(key), message).help(help));
        }
    }
}

/// What a shell would expand or act on in `text`, outside of quotes that stop it.
fn expansion(text: &str) -> Option<String> {
    let mut quote = None;
    let mut word_start = true;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let starts = std::mem::replace(&mut word_start, c.is_whitespace());
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                chars.next();
            }
            (_, '$')
                if chars.peek().is_some_and(|c| c.is_alphanumeric() || "_{(@*#?!".contains(*c)) =>
            {
                let name: String = chars.take_while(|c| !c.is_whitespace() && *c != '"').collect();
                return Some(format!("`${name}`"));
            }
            (_, '`') => return Some("a backquote".to_owned()),
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, ';' | '|' | '&' | '<' | '>' | '(' | ')' | '*' | '?' | '\n') => {
                return Some(format!("{:?}", c.to_string()).replace('"', "`"));
            }
            (None, '~') if starts => return Some("`~`".to_owned()),
            (None, '#') if starts => return Some("`#`".to_owned()),
            _ => {}
        }
    }
    None
}

fn timeout(model: &Model, found: &mut Vec<Diagnostic>) {
    let Some(seconds) = model.entry().timeout.map(|t| t.0) else { return };
    let message = match seconds {
        s if s > LONG_TIMEOUT => format!("a timeout of {:.0} days", s / 86_400.0),
        s if s > 0.0 && s < 1.0 => format!("a timeout of {s} seconds"),
        _ => return,
    };
    let help = "the unit is seconds; `-1` is no limit";
    found.push(rules::ODD_TIMEOUT.at(model.place("timeout"), message).help(help));
}

fn gpu_counts(model: &Model, found: &mut Vec<Diagnostic>) {
    let e = model.entry();
    let values = [e.gpus_per_node, e.gpu_count, e.n_gpus, e.num_gpus, e.ngpus];
    let mut given = GPU_KEYS.iter().zip(values).filter_map(|(key, v)| v.map(|v| (key, v)));
    let Some((first, count)) = given.next() else { return };
    for (key, other) in given.filter(|(_, other)| *other != count) {
        let message = format!("`{key}` says {other} GPUs, `{first}` says {count} and wins");
        let diagnostic = rules::GPU_CONFLICT.at(model.place(key), message);
        found.push(diagnostic.related(model.place(first), "wins"));
    }
}

fn architectures(model: &Model, found: &mut Vec<Diagnostic>) {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^(gfx[0-9a-f]{3,4}[a-z0-9:+-]*|sm_?[0-9]+[a-z]?|G?[A-Z]{1,3}[0-9]{1,4}[A-Za-z]*|RTX.*)$").ok()
    });
    let Some(text) = &model.entry().skip_gpu_arch else { return };
    for arch in split_commas(text) {
        let marketing = arch.starts_with("MI");
        if !marketing && NAME.as_ref().is_none_or(|name| name.is_match(arch)) {
            continue;
        }
        let message = format!("no GPU architecture is called `{arch}`");
        let help = match marketing {
            true => "AMD GPUs are known by their target: MI300X is `gfx942`, MI350X is `gfx950`",
            false => "names as the driver reports them (`gfx942`, `A100`), separated by commas",
        };
        found.push(rules::ODD_ARCH.at(model.place("skip_gpu_arch"), message).help(help));
    }
}

fn slurm_multi(model: &Model, found: &mut Vec<Diagnostic>) {
    if model.contract() != Contract::SelfManaged {
        return;
    }
    // `data` is named by every real entry of this kind, out of habit; only what
    // promises numbers misleads.
    if model.entry().multiple_results.as_deref().is_some_and(|f| !f.trim().is_empty()) {
        let message = "`multiple_results` of a self-managed entry is not read";
        let help =
            "its script manages the nodes of its job itself; write `perf.csv` in its directory";
        found.push(rules::SLURM_MULTI.at(model.place("multiple_results"), message).help(help));
    }
}

fn csv_name(model: &Model, found: &mut Vec<Diagnostic>) {
    let Contract::Csv(file) = model.contract() else { return };
    let path = Path::new(&file);
    let place = || model.place("multiple_results");
    if path.is_absolute() || path.components().any(|c| c == Component::ParentDir) {
        let message = format!("`multiple_results` leads out of the run's directory: `{file}`");
        let help = "give a path relative to where the script runs";
        found.push(scripts::OUTSIDE.at(place(), message).help(help));
    } else if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        let message = format!("`{file}` does not end in `.csv`");
        found.push(contract::BAD_CSV_NAME.at(place(), message));
    }
}

/// Whether the text is a day that exists, as `2026-12-31`.
fn is_day(text: &str) -> bool {
    time::Date::parse(text, format_description!("[year]-[month]-[day]")).is_ok()
}

/// A metric that is not gated for no stated reason is soon nobody's.
fn exceptions(model: &Model, found: &mut Vec<Diagnostic>) {
    let blank = |text: Option<&str>| text.is_none_or(|t| t.trim().is_empty());
    for (name, rule) in model.entry().regress.iter().flat_map(|r| &r.metrics) {
        let what = match (rule.gated, &rule.xfail) {
            (Some(false), _) if blank(rule.reason.as_deref()) => "not gated",
            (_, Some(known)) if blank(Some(&known.reason)) => "expected to be worse",
            _ => continue,
        };
        let message = format!("the metric `{name}` is {what}, and there is no reason");
        let help = "say why in `reason`, and until when in `until`";
        found.push(rules::NO_REASON.at(model.place("regress"), message).help(help));
    }
}

fn ranges(model: &Model, found: &mut Vec<Diagnostic>) {
    let entry = model.entry();
    let mut complain = |key: &str, message: String| {
        found.push(rules::OUT_OF_RANGE.at(model.place(key), message));
    };
    if entry.bench.as_ref().is_some_and(|b| b.samples == Some(0)) {
        complain("bench", "`bench.samples` is 0: nothing would be measured".to_owned());
    }
    if let Some(regress) = &entry.regress {
        for (name, rule) in &regress.metrics {
            let dates = [("until", &rule.until)].into_iter();
            let since = rule.xfail.iter().map(|known| ("xfail.since", &known.since));
            for (key, date) in dates.chain(since) {
                if let Some(date) = date.as_ref().filter(|date| !is_day(date)) {
                    let key = format!("regress.metrics.{name}.{key}");
                    complain("regress", format!("`{key}` is {date:?}, no day such as 2026-12-31"));
                }
            }
        }
        let rules = regress.metrics.iter().map(|(name, rule)| (name.as_str(), rule.tolerance));
        for (name, tolerance) in std::iter::once(("", regress.tolerance)).chain(rules) {
            let key = match name {
                "" => "regress.tolerance".to_owned(),
                name => format!("regress.metrics.{name}.tolerance"),
            };
            if let Some(t) = tolerance.filter(|t| !(0.0..1.0).contains(t)) {
                let hint = if (1.0..100.0).contains(&t) {
                    format!("; {t} % is {}", t / 100.0)
                } else {
                    String::new()
                };
                complain("regress", format!("`{key}` is {t}, not from 0 to below 1{hint}"));
            }
        }
        for (name, rule) in &regress.metrics {
            if rule.floor.is_some_and(|f| f < 0.0) {
                complain("regress", format!("`regress.metrics.{name}.floor` is negative"));
            }
            if name.trim().is_empty() {
                complain("regress", "a metric of `regress.metrics` has no name".to_owned());
            }
        }
        if regress.primary.as_ref().is_some_and(|p| p.trim().is_empty()) {
            complain("regress", "`regress.primary` names no metric".to_owned());
        }
    }
    if let Some(tune) = &entry.tune {
        if tune.accuracy.as_ref().is_some_and(|name| name.trim().is_empty()) {
            complain("tune", "`tune.accuracy` names no metric".to_owned());
        }
        if let Some(t) = tune.accuracy_tolerance.filter(|t| !(0.0..1.0).contains(t)) {
            complain("tune", format!("`tune.accuracy_tolerance` is {t}, not from 0 to below 1"));
        }
    }
    for lever in entry.tune.iter().flat_map(|t| &t.levers) {
        for problem in problems(lever) {
            complain("tune", problem);
        }
    }
}
