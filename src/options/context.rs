//! `additional_context`: what the user adds to every entry, as JSON or Python literal.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

use super::RunOptions;
use crate::catalog::Count;
use crate::validate::python;

/// `additional_context`: what the user adds to every entry.
#[derive(Clone, Debug, Default)]
pub struct Context(pub Map<String, Value>);

/// Keys whose value is an object of names.
pub(crate) const NAMES: [&str; 4] =
    ["docker_env_vars", "docker_build_arg", "docker_mounts", "env_vars"];

/// Keys that something reads, apart from GPU counts: what a sweep can vary.
pub(crate) const KNOWN_KEYS: [&str; 17] = [
    "MAD_CONTAINER_IMAGE",
    "docker_build_arg",
    "docker_cpus",
    "docker_env_vars",
    "docker_gpus",
    "docker_mounts",
    "encapsulate_script",
    "env_vars",
    "gpu_vendor",
    "guest_os",
    "k8s",
    "kubernetes",
    "model_args",
    "post_scripts",
    "pre_scripts",
    "slurm",
    "tools",
];

/// Keys that change what is executed and that only later engines can honour.
const NOT_ON_HOST: [&str; 4] = ["tools", "pre_scripts", "post_scripts", "encapsulate_script"];

impl Context {
    /// Reads the context of `options`: the file first, the text over it.
    ///
    /// # Errors
    /// When one of them cannot be read, is not an object, or holds a value of the
    /// wrong type.
    pub fn load(options: &RunOptions) -> Result<Context> {
        ensure!(options.ngpus.len() <= 1, "several GPU counts (--ngpus) are for `mad sweep`");
        let mut map = Map::new();
        if let Some(file) = &options.additional_context_file {
            let place = || format!("--additional-context-file {}", file.display());
            let text = std::fs::read_to_string(file).with_context(place)?;
            let value: Value = serde_json::from_str(&text).with_context(place)?;
            overlay(&mut map, value).with_context(place)?;
        }
        if let Some(text) = options.additional_context.as_deref().filter(|t| !t.trim().is_empty()) {
            let value = match serde_json::from_str(text) {
                Ok(value) => value,
                Err(json) => match python::parse_literal(text) {
                    Ok(value) => value,
                    Err(python) => bail!(
                        "--additional-context is neither JSON ({json}) nor a Python literal ({python})"
                    ),
                },
            };
            overlay(&mut map, value).context("--additional-context")?;
        }
        let context = Context(map);
        context.check().context("additional context")?;
        Ok(context)
    }

    /// Lays this context over `base`, which a manifest has: what the user says wins, in
    /// objects of names (`docker_env_vars`) name by name.
    ///
    /// # Errors
    /// When `base` holds a value of the wrong type.
    pub fn over(mut self, base: Map<String, Value>) -> Result<Context> {
        let base = Context(base);
        base.check()?;
        for (key, mut value) in base.0 {
            match (self.0.get_mut(&key), value.as_object_mut()) {
                (None, _) => {
                    self.0.insert(key, value);
                }
                (Some(Value::Object(own)), Some(base)) if NAMES.contains(&key.as_str()) => {
                    let mut merged = std::mem::take(base);
                    merged.extend(std::mem::take(own));
                    *own = merged;
                }
                (Some(_), _) => {}
            }
        }
        Ok(self)
    }

    /// The value of `key` as text, numbers included.
    pub fn text(&self, key: &str) -> Option<String> {
        scalar_text(self.0.get(key)?)
    }

    /// Items of the object `key`, values as text.
    pub fn items(&self, key: &str) -> Vec<(String, String)> {
        let object = self.0.get(key).and_then(Value::as_object);
        object.map(|o| text_items(o).collect()).unwrap_or_default()
    }

    /// GPUs the context asks for, by any of the names madengine knows.
    pub fn n_gpus(&self) -> Option<Count> {
        ["gpus_per_node", "gpu_count", "n_gpus", "num_gpus", "ngpus"]
            .iter()
            .find_map(|key| self.text(key)?.parse().ok())
    }

    /// `docker_gpus`: the GPUs to choose from, by index.
    pub fn gpus(&self) -> Option<BTreeSet<u32>> {
        gpu_list(&self.text("docker_gpus")?).ok()
    }

    /// Keys that mean nothing without a container, and are left out on the host.
    pub fn without_meaning_on_host(&self) -> Vec<&str> {
        let keys = ["docker_mounts", "docker_build_arg", "docker_cpus", "MAD_CONTAINER_IMAGE"];
        keys.into_iter().filter(|key| self.0.contains_key(*key)).collect()
    }

    /// Keys that the host engine cannot honour.
    pub fn unusable_on_host(&self) -> Vec<&str> {
        NOT_ON_HOST.into_iter().filter(|key| self.0.contains_key(*key)).collect()
    }

    /// Whether what it holds is of the right types.
    ///
    /// # Errors
    /// When something is not; all of it is named.
    pub fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        for key in NAMES {
            match self.0.get(key) {
                None => {}
                Some(Value::Object(object)) => {
                    for (name, value) in object {
                        if scalar_text(value).is_none() {
                            wrong.push(format!("`{key}.{name}` must be a word or a number"));
                        }
                        if key.ends_with("env_vars") && !is_variable_name(name) {
                            wrong.push(format!("`{key}.{name}` is no name of a variable"));
                        }
                    }
                }
                Some(_) => wrong.push(format!("`{key}` must be an object")),
            }
        }
        for key in ["gpus_per_node", "gpu_count", "n_gpus", "num_gpus", "ngpus"] {
            if let Some(value) = self.0.get(key)
                && scalar_text(value).is_none_or(|t| t.parse::<Count>().is_err())
            {
                wrong.push(format!("`{key}` must be a count, or -1 for all"));
            }
        }
        for key in ["pre_scripts", "post_scripts"] {
            for problem in hook_problems(self.0.get(key)) {
                wrong.push(format!("`{key}`{problem}"));
            }
        }
        for key in ["encapsulate_script", "docker_cpus", "MAD_CONTAINER_IMAGE", "guest_os"] {
            if self.0.get(key).is_some_and(|v| !v.is_string()) {
                wrong.push(format!("`{key}` must be text"));
            }
        }
        if let Some(value) = self.0.get("docker_gpus") {
            match scalar_text(value).as_deref().map(gpu_list) {
                Some(Ok(_)) => {}
                _ => wrong.push("`docker_gpus` must be a list such as \"0,2-4\"".to_owned()),
            }
        }
        for key in ["slurm", "distributed"] {
            if self.0.get(key).is_some_and(|v| !v.is_object()) {
                wrong.push(format!("`{key}` must be an object"));
            }
        }
        if self.0.contains_key("slurm")
            && (self.0.contains_key("k8s") || self.0.contains_key("kubernetes"))
        {
            wrong.push("`slurm` and `kubernetes` exclude each other".to_owned());
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => bail!(wrong.join("; ")),
        }
    }
}

/// What is wrong with an array of `{"path": …, "args": …}`.
fn hook_problems(value: Option<&Value>) -> Vec<String> {
    let Some(value) = value else { return Vec::new() };
    let Some(items) = value.as_array() else {
        return vec![" must be an array of {\"path\": …, \"args\": …}".to_owned()];
    };
    let problem = |item: &Value| {
        let args = item.get("args").map_or(Some(""), Value::as_str);
        match (item.get("path").and_then(Value::as_str), args) {
            (None, _) => Some("needs a `path`".to_owned()),
            (_, None) => Some("`args` must be text".to_owned()),
            (_, Some(args)) => shell_words::split(args).err().map(|e| format!("`args`: {e}")),
        }
    };
    let numbered = items.iter().enumerate();
    numbered.filter_map(|(i, item)| Some(format!("[{i}]: {}", problem(item)?))).collect()
}

/// `0,2-4` as a set.
fn gpu_list(text: &str) -> Result<BTreeSet<u32>, std::num::ParseIntError> {
    let mut list = BTreeSet::new();
    for part in crate::catalog::split_commas(text) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        // A host has fewer GPUs than this; a typo must not fill the memory.
        let last: u32 = last.trim().parse()?;
        list.extend(first.trim().parse()?..=last.min(4096));
    }
    Ok(list)
}

fn overlay(map: &mut Map<String, Value>, value: Value) -> Result<()> {
    match value {
        Value::Object(object) => {
            map.extend(object);
            Ok(())
        }
        other => bail!("the context must be an object, this is {other}"),
    }
}

/// Items of `object` whose values are scalars, as text.
pub fn text_items(object: &Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    object.iter().filter_map(|(k, v)| Some((k.clone(), scalar_text(v)?)))
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Whether a shell takes `name` for the name of a variable.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
