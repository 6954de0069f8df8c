//! What a new entry says.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use super::Request;
use super::closest::Template;
use super::name::{Words, is_precision};
use super::stack::Stack;

/// Keys that an entry of the same stack has from its template, for they are about the
/// software and the machine, and not about the workload.
const INHERITED: [&str; 4] =
    ["skip_gpu_arch", "dockercontext", "additional_docker_run_options", "bench"];

/// What `--url` names.
pub(super) enum Link {
    /// A repository, which is cloned before the script runs.
    Repository(String),
    /// A model of the HuggingFace hub: `Qwen/Qwen3-8B`. A clone of it would be its weights.
    HubModel(String),
}

impl Link {
    /// # Errors
    /// For what is no URL, or holds a password.
    pub(super) fn parse(url: &str) -> Result<Link> {
        let url = url.trim();
        ensure!(
            !url.chars().any(|c| c.is_whitespace() || c.is_control()),
            "--url: {url:?} has a blank or a control character in it"
        );
        let plain = crate::source::public_url(url);
        // A name alone (`git@host:…`) is no secret over ssh.
        ensure!(
            plain == url || !url.contains("://"),
            "--url: the URL has a login in it, which catalogs must not hold; name it in `credential.json` \
             and the entry's `cred` instead"
        );
        if let Some(path) = url.strip_prefix("https://huggingface.co/") {
            let parts: Vec<&str> =
                path.split(['?', '#']).next().unwrap_or(path).split('/').collect();
            let plain = |part: &&str| {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
                !part.is_empty() && part.chars().all(fits) && !part.starts_with(['-', '.'])
            };
            let kinds = ["datasets", "spaces", "docs", "papers", "collections", "blog"];
            if let [org, name, ..] = parts.as_slice()
                && plain(org)
                && plain(name)
                && !kinds.contains(org)
            {
                return Ok(Link::HubModel(format!("{org}/{name}")));
            }
        }
        crate::source::Repository::new(url, None).map_err(|e| anyhow::anyhow!("--url: {e:#}"))?;
        Ok(Link::Repository(url.to_owned()))
    }
}

/// The entry, its keys in MAD's order.
pub(super) fn entry(
    request: &Request,
    stack: Stack,
    template: Option<&Template>,
    link: Option<&Link>,
    dockerfile: Option<&Path>,
) -> Value {
    let words = Words::of(&request.name);
    let raw = template.map(|t| t.model.raw());
    let text = |key: &str| raw.and_then(|r| r.get(key)).and_then(Value::as_str).unwrap_or_default();
    let same_project = template.is_some_and(|t| {
        let known = Words::of(&t.model.name);
        known.framework == words.framework && known.project == words.project
    });
    let precision = match words.precision() {
        Some(precision) => precision.to_owned(),
        None if same_project => text("training_precision").to_owned(),
        None => String::new(),
    };
    let url = match link {
        Some(Link::Repository(url)) => url.as_str(),
        _ => "",
    };
    let args = match (link, stack.model_option()) {
        (Some(Link::HubModel(model)), Some(option)) => format!("{option} {model}"),
        _ => String::new(),
    };
    let mut entry = Map::new();
    entry.insert("name".into(), json!(request.name));
    entry.insert("url".into(), json!(url));
    if let Some(dockerfile) = dockerfile {
        entry.insert("dockerfile".into(), json!(dockerfile));
    }
    entry.insert("scripts".into(), json!(format!("scripts/{}/run.sh", request.name)));
    entry.insert("data".into(), json!(""));
    let n_gpus = raw.and_then(|r| r.get("n_gpus")).cloned();
    entry.insert("n_gpus".into(), n_gpus.unwrap_or_else(|| json!(stack.n_gpus())));
    entry.insert("owner".into(), json!(text("owner")));
    entry.insert("training_precision".into(), json!(precision));
    entry.insert("tags".into(), json!(tags(&words, template)));
    if let Some(timeout) = raw.and_then(|r| r.get("timeout")) {
        entry.insert("timeout".into(), timeout.clone());
    }
    entry.insert("args".into(), json!(args));
    let same_stack = template.filter(|t| Stack::of(&t.model.name) == stack);
    for key in INHERITED {
        if let Some(value) = same_stack.and_then(|t| t.model.raw().get(key)) {
            entry.insert(key.into(), value.clone());
        }
    }
    Value::Object(entry)
}

/// Framework and project; what the template's tags say of more than its own workload; the
/// precision. Not the tags of quick checks: a new entry is in no gate unasked.
fn tags(words: &Words, template: Option<&Template>) -> Vec<String> {
    let mut tags: Vec<String> = vec![words.framework.clone()];
    tags.extend(words.project.clone());
    if let Some(template) = template {
        let known = Words::of(&template.model.name);
        let own = |tag: &str| {
            let tag = tag.to_lowercase();
            let of_workload = known.workload.iter().chain(&known.project).any(|w| *w == tag);
            of_workload && !words.all().any(|w| w == tag)
        };
        let replaced = |tag: &str| is_precision(tag) && words.precision().is_some();
        let dropped = |tag: &str| own(tag) || tag.contains("smoke") || replaced(tag);
        let kept = template.model.tags().iter().filter(|tag| !dropped(tag));
        tags.extend(kept.cloned());
    }
    tags.extend(words.precision().map(str::to_owned));
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| !tag.is_empty() && seen.insert(tag.clone()));
    tags
}
