//! What a sweep varies in the context.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::contract::is_secret;
use crate::diagnostic::did_you_mean;
use crate::options::{Context, KNOWN_KEYS, NAMES};

/// Names of a precision, which people would like to vary.
const PRECISION: [&str; 4] = ["precision", "training_precision", "dtype", "data_type"];
/// Names of a GPU count.
const COUNTS: [&str; 5] = ["gpus_per_node", "gpu_count", "n_gpus", "num_gpus", "ngpus"];

/// One axis: a place in the context and the values it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The path of the place: `["docker_env_vars", "MAD_MODEL_BATCH_SIZE"]`.
    pub path: Vec<String>,
    /// The values, in order, each once.
    pub values: Vec<Value>,
}

impl Axis {
    /// Reads `docker_env_vars.MAD_MODEL_BATCH_SIZE=8,16`. Behind the `=` is a list of words,
    /// separated by commas, or a JSON array.
    ///
    /// # Errors
    /// When it is no axis, is over a key that contexts do not have, or is about something
    /// that is none of the context's.
    pub fn parse(text: &str) -> Result<Axis> {
        let place = || format!("--axis {text:?}");
        let (path, values) = text.split_once('=').with_context(place).context(
            "an axis is KEY=VALUE,VALUE, as in docker_env_vars.MAD_MODEL_BATCH_SIZE=8,16",
        )?;
        let path: Vec<String> = path.trim().split('.').map(|p| p.trim().to_owned()).collect();
        check(&path).with_context(place)?;
        let values = values.trim();
        let list: Vec<Value> = match serde_json::from_str(values) {
            Ok(Value::Array(list)) => list,
            _ => crate::catalog::split_commas(values).map(Value::from).collect(),
        };
        ensure!(!list.is_empty(), "--axis {text:?} has no values");
        let mut once: Vec<Value> = Vec::new();
        for value in list {
            if !once.contains(&value) {
                once.push(value);
            }
        }
        Ok(Axis { path, values: once })
    }

    /// The last part of the path: what people call it.
    pub fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// `context` with `value` in the place of this axis.
    ///
    /// # Errors
    /// When the context cannot have it there.
    pub fn put(&self, context: &Context, value: &Value) -> Result<Context> {
        let mut map = context.0.clone();
        put(&mut map, &self.path, value.clone())
            .with_context(|| format!("--axis {}", self.path.join(".")))?;
        let context = Context(map);
        context.check().with_context(|| format!("--axis {}", self.path.join(".")))?;
        Ok(context)
    }
}

/// Lays `value` into `map`; objects on the way are made, what is beside it stays.
fn put(map: &mut Map<String, Value>, path: &[String], value: Value) -> Result<()> {
    match path {
        [] => Ok(()),
        [last] => {
            map.insert(last.clone(), value);
            Ok(())
        }
        [first, rest @ ..] => {
            let inner = map.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            match inner {
                Value::Object(inner) => put(inner, rest, value),
                other => bail!("`{first}` of the context is {other}, not an object"),
            }
        }
    }
}

fn check(path: &[String]) -> Result<()> {
    let (key, rest) = path.split_first().context("it has no key")?;
    let last = path.last().map_or("", String::as_str);
    if PRECISION.contains(&last.to_ascii_lowercase().as_str()) {
        bail!(
            "precision is not an axis: it belongs to the entry (`training_precision`), and numbers \
             of different precisions are not compared; select the entries of each precision by \
             their tags"
        );
    }
    if COUNTS.contains(&key.as_str()) {
        bail!("GPU counts have a flag of their own: --ngpus 1,4,8");
    }
    if !KNOWN_KEYS.contains(&key.as_str()) {
        let near = did_you_mean(key, KNOWN_KEYS.iter().copied());
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!(
            "no context has the key `{key}`{near}\nknown keys: {}\nvariables are below \
             docker_env_vars: --axis docker_env_vars.{}=…",
            KNOWN_KEYS.join(", "),
            path.join("_")
        );
    }
    if is_secret(last) {
        bail!("`{last}` is a secret: its values would be part of names of files");
    }
    let names = NAMES.contains(&key.as_str());
    match (names, rest) {
        (true, []) => bail!("`{key}` is an object of names: --axis {key}.NAME=VALUE,VALUE"),
        (true, [name]) if !name.is_empty() => Ok(()),
        (true, _) => bail!("names in `{key}` have no dots and are not empty"),
        (false, parts) if parts.iter().any(String::is_empty) => bail!("a part of the key is empty"),
        (false, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_words_or_json() {
        let values = |text: &str| Axis::parse(text).unwrap().values;
        assert_eq!(values("docker_env_vars.X=8, 16,8"), [json!("8"), json!("16")]);
        assert_eq!(values("docker_env_vars.X=[8, \"a,b\"]"), [json!(8), json!("a,b")]);
        assert_eq!(values("model_args=--x '1'"), [json!("--x '1'")]);
    }

    #[test]
    fn a_value_is_merged_and_never_pasted() {
        let axis = Axis::parse(r#"docker_env_vars.X=["it's \"quoted\" $(x)"]"#).unwrap();
        let context = json!({"docker_env_vars": {"KEEP": "1"}, "model_args": "--a"});
        let context = Context(context.as_object().unwrap().clone());
        let merged = axis.put(&context, &axis.values[0]).unwrap();
        let expected = json!({
            "docker_env_vars": {"KEEP": "1", "X": "it's \"quoted\" $(x)"}, "model_args": "--a",
        });
        assert_eq!(Value::Object(merged.0), expected);
    }

    #[test]
    fn what_is_no_axis_is_refused_with_what_would_be() {
        let error = |text: &str| format!("{:#}", Axis::parse(text).unwrap_err());
        for (text, expected) in [
            ("precision=fp16", "precision is not an axis: it belongs to the entry"),
            ("docker_env_vars.dtype=fp16", "precision is not an axis"),
            ("ngpus=1,2", "--ngpus 1,4,8"),
            ("docker_env_var.X=1", "did you mean `docker_env_vars`?"),
            ("MAD_MODEL_BATCH_SIZE=1", "--axis docker_env_vars.MAD_MODEL_BATCH_SIZE=…"),
            ("docker_env_vars=1", "--axis docker_env_vars.NAME=VALUE,VALUE"),
            ("docker_env_vars.X", "an axis is KEY=VALUE,VALUE"),
            ("docker_env_vars.X=", "has no values"),
            ("docker_env_vars.=1", "not empty"),
        ] {
            assert!(error(text).contains(expected), "{text}: {}", error(text));
        }
        let context = Context(json!({"slurm": 3}).as_object().unwrap().clone());
        let axis = Axis::parse("slurm.partition=a").unwrap();
        let error = format!("{:#}", axis.put(&context, &axis.values[0]).unwrap_err());
        assert!(error.contains("`slurm` of the context is 3, not an object"), "{error}");
        let axis = Axis::parse("docker_env_vars.NO-NAME=1").unwrap();
        let error = format!("{:#}", axis.put(&Context::default(), &axis.values[0]).unwrap_err());
        assert!(error.contains("is no name of a variable"), "{error}");
    }
}
