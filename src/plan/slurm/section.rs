//! The `slurm` object of the context, of an entry, or of mad.toml.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::contract::Rule;

/// Keys whose value goes to the option of `sbatch` of that name.
const OPTIONS: [&str; 11] = [
    "partition",
    "account",
    "qos",
    "reservation",
    "constraint",
    "nodelist",
    "exclude",
    "mem",
    "cpus_per_task",
    "licenses",
    "nice",
];

/// Keys of madengine that have no meaning here, with the reason.
const WITHOUT_MEANING: [(&str, &str); 8] = [
    ("output_dir", "logs and scripts are in the run directory"),
    ("shared_workspace", "the run directory is what the nodes share (--run-dir)"),
    ("results_dir", "numbers are read from what the script prints, or its multiple_results"),
    ("enable_node_check", "nodes are the cluster's business"),
    ("auto_cleanup_nodes", "nodes are the cluster's business"),
    ("allow_submit_without_clean_nodes", "nodes are the cluster's business"),
    ("verbose_node_check", "nodes are the cluster's business"),
    ("gpu_visibility", "Slurm says which GPUs a job has"),
];

/// Options of `sbatch` that are ours.
const OURS: [&str; 22] = [
    "array",
    "batch",
    "chdir",
    "comment",
    "dependency",
    "error",
    "export",
    "export-file",
    "get-user-env",
    "gres",
    "help",
    "hold",
    "input",
    "job-name",
    "nodes",
    "ntasks",
    "ntasks-per-node",
    "output",
    "open-mode",
    "parsable",
    "wait",
    "wrap",
];

/// What it says, checked.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) nodes: Option<u32>,
    pub(super) gpu_type: Option<String>,
    pub(super) exclusive: Option<bool>,
    pub(super) has_time: bool,
    pub(super) options: Vec<String>,
    pub(super) modules: Vec<String>,
    pub(super) interface: Option<String>,
    pub(super) container: Option<String>,
    pub(super) aggregate: BTreeMap<String, Rule>,
    /// What the user should know.
    pub(super) remarks: Vec<String>,
}

impl Section {
    /// Reads `map`; all that is wrong with it is one message.
    pub(super) fn read(map: &Map<String, Value>) -> Result<Section, String> {
        let mut section = Section::default();
        let mut wrong = Vec::new();
        for (key, value) in map.iter().filter(|(key, _)| !key.starts_with('_')) {
            if let Err(why) = section.take(key, value) {
                wrong.push(format!("`slurm.{key}` {why}"));
            }
        }
        if wrong.is_empty() { Ok(section) } else { Err(wrong.join("; ")) }
    }

    fn take(&mut self, key: &str, value: &Value) -> Result<(), String> {
        if OPTIONS.contains(&key) {
            let text = plain(value)?;
            if !text.is_empty() {
                self.options.push(format!("--{}={text}", key.replace('_', "-")));
            }
            return Ok(());
        }
        match key {
            "nodes" => self.nodes = Some(count(value)?),
            // Counted with the other names for the number of GPUs.
            "gpus_per_node" | "gpu_count" | "n_gpus" | "num_gpus" | "ngpus" => {
                count(value)?;
            }
            "gpu_type" => self.gpu_type = Some(word(value)?),
            "time" => {
                let text = plain(value)?;
                if !is_time(&text) {
                    return Err(format!("is no time limit: {text:?} (minutes, HH:MM:SS or D-HH)"));
                }
                self.has_time = true;
                self.options.push(format!("--time={text}"));
            }
            "exclusive" => {
                let on = value.as_bool().ok_or("must be true or false")?;
                self.exclusive = Some(on);
            }
            "modules" => {
                self.modules =
                    list(value)?.into_iter().map(|m| checked(&m)).collect::<Result<_, _>>()?
            }
            "network_interface" => self.interface = Some(plain(value)?),
            "container" => self.container = Some(plain(value)?),
            "aggregate" => {
                let rules = serde_json::from_value(value.clone());
                self.aggregate =
                    rules.map_err(|_| "must have sum, max, min or mean by metric".to_owned())?;
            }
            "options" => {
                for option in list(value)? {
                    self.options.push(option_word(&option)?);
                }
            }
            _ => match WITHOUT_MEANING.iter().find(|(known, _)| *known == key) {
                Some((_, why)) => self.remarks.push(format!("`slurm.{key}` does nothing: {why}")),
                None => return Err("is no key that is known".to_owned()),
            },
        }
        Ok(())
    }
}

/// A word or number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn plain(value: &Value) -> Result<String, String> {
    checked(&text(value).ok_or("must be a word or a number")?)
}

/// What Slurm's own values are made of; anything else is a mistake that it might
/// misunderstand.
fn checked(text: &str) -> Result<String, String> {
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || "_-.,:=[]()&|*@%+/".contains(*c));
    match text.chars().find(odd) {
        Some(c) => Err(format!("has the character {c:?}, which no value for Slurm has")),
        None => Ok(text.to_owned()),
    }
}

fn word(value: &Value) -> Result<String, String> {
    let text = plain(value)?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.is_empty() || !text.chars().all(is_word) {
        return Err(format!("must be one word, this is {text:?}"));
    }
    Ok(text)
}

fn count(value: &Value) -> Result<u32, String> {
    let wrong = || "must be a whole number".to_owned();
    text(value).and_then(|t| t.parse().ok()).ok_or_else(wrong)
}

fn list(value: &Value) -> Result<Vec<String>, String> {
    let wrong = "must be a list of words";
    match value {
        Value::String(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        Value::Array(items) => items
            .iter()
            .map(|i| i.as_str().map(str::to_owned).ok_or_else(|| wrong.to_owned()))
            .collect(),
        _ => Err(wrong.to_owned()),
    }
}

/// A further option of `sbatch`, `--name` or `--name=value`, that is not ours.
fn option_word(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("--").and_then(|rest| rest.split('=').next());
    let Some(name) = name.filter(|n| n.starts_with(|c: char| c.is_ascii_lowercase())) else {
        return Err(format!("has {text:?}, which is not of the form --name or --name=value"));
    };
    // sbatch takes any unambiguous beginning of a name.
    match OURS.iter().find(|ours| ours.starts_with(name)) {
        Some(ours) => Err(format!("has {text:?}: --{ours} is set by mad")),
        None => checked(text),
    }
}

/// minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]].
fn is_time(text: &str) -> bool {
    let numbers = |text: &str, most: usize| {
        let parts: Vec<&str> = text.split(':').collect();
        parts.len() <= most
            && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
    };
    match text.split_once('-') {
        Some((days, rest)) => numbers(days, 1) && numbers(rest, 3),
        None => numbers(text, 3),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Section, String> {
        let Value::Object(map) = value else { panic!("an object") };
        Section::read(&map)
    }

    #[test]
    fn what_is_known_becomes_options() {
        let section = read(json!({
            "_why": "a comment", "partition": "main", "time": "1-12:30", "cpus_per_task": 8,
            "nodelist": "n[1-4],m7", "constraint": "(a|b)&c", "nodes": "2", "modules": ["rocm/6.3"],
            "options": ["--hint=nomultithread", "--requeue"], "aggregate": {"tok/s": "mean"},
            "output_dir": "./slurm_results",
        }))
        .unwrap();
        assert_eq!(section.nodes, Some(2));
        assert_eq!(section.aggregate["tok/s"], Rule::Mean);
        assert_eq!(section.modules, ["rocm/6.3"]);
        insta::assert_snapshot!(section.options.join("\n"), @r"
        --partition=main
        --time=1-12:30
        --cpus-per-task=8
        --nodelist=n[1-4],m7
        --constraint=(a|b)&c
        --hint=nomultithread
        --requeue
        ");
        assert!(section.remarks[0].contains("`slurm.output_dir` does nothing"));
    }

    #[test]
    fn what_is_wrong_is_named_all_at_once() {
        let wrong = read(json!({
            "partiton": "main", "nodes": "two", "time": "soon", "account": "a b", "qos": "$(id)",
            "exclusive": "yes", "options": ["--output=x", "-N4", "--nod=3"], "modules": 3,
            "aggregate": {"x": "median"}, "gpu_type": "gpu:8",
        }));
        insta::assert_snapshot!(wrong.unwrap_err().replace("; ", "\n"));
    }
}
