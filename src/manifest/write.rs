//! What of a context goes into a manifest: everything but secrets.

use serde_json::{Map, Value, json};

use super::Manifest;
use crate::contract::{Masker, is_secret};
use crate::options::Context;

/// Keys of the context that a manifest has if they were given.
const WHERE_GIVEN: [&str; 4] = ["tools", "pre_scripts", "post_scripts", "encapsulate_script"];
/// The same for `deployment_config`.
const DEPLOYED: [&str; 5] = ["slurm", "k8s", "kubernetes", "distributed", "vllm"];

impl Manifest {
    /// Takes over what the user added. Returns what was left out because it holds a
    /// secret: `docker_env_vars.NAME`.
    pub fn set_context(&mut self, context: &Context, masker: &Masker) -> Vec<String> {
        let mut open = Open { masker, left_out: Vec::new() };
        let mut object = |key: &str| Value::Object(open.items(context, key));
        self.context = Map::from_iter([
            ("docker_env_vars".to_owned(), object("docker_env_vars")),
            ("docker_mounts".to_owned(), object("docker_mounts")),
            ("docker_build_arg".to_owned(), object("docker_build_arg")),
            ("gpu_vendor".to_owned(), upper(context, "gpu_vendor", "AMD")),
            ("guest_os".to_owned(), upper(context, "guest_os", "UBUNTU")),
            ("docker_gpus".to_owned(), json!(context.text("docker_gpus").unwrap_or_default())),
        ]);
        self.context.extend(open.values(context, &WHERE_GIVEN));
        let given = |key: &str| context.0.contains_key(key);
        let target = match () {
            () if given("slurm") => "slurm",
            () if given("k8s") || given("kubernetes") => "k8s",
            () => "local",
        };
        self.deployment_config = Map::from_iter([("target".to_owned(), json!(target))]);
        self.deployment_config.extend(open.values(context, &DEPLOYED));
        self.deployment_config
            .insert("env_vars".to_owned(), Value::Object(open.items(context, "env_vars")));
        let debug = context.0.get("debug").cloned().unwrap_or(json!(false));
        self.deployment_config.insert("debug".to_owned(), debug);
        open.left_out
    }
}

/// Lets through what is no secret.
struct Open<'a> {
    masker: &'a Masker,
    left_out: Vec<String>,
}

impl Open<'_> {
    /// The items of the object `key`.
    fn items(&mut self, context: &Context, key: &str) -> Map<String, Value> {
        let mut object = context.0.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        object.retain(|name, value| {
            !is_secret(name) && self.is_open(value) || {
                self.left_out.push(format!("{key}.{name}"));
                false
            }
        });
        object
    }

    /// The values of those of `keys` that were given.
    fn values(&mut self, context: &Context, keys: &[&str]) -> Vec<(String, Value)> {
        let given = keys.iter().filter_map(|key| Some((*key, context.0.get(*key)?)));
        let given = given.filter(|(key, value)| {
            self.is_open(value) || {
                self.left_out.push((*key).to_owned());
                false
            }
        });
        given.map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    fn is_open(&self, value: &Value) -> bool {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.masker.mask_str(&text) == text
    }
}

fn upper(context: &Context, key: &str, default: &str) -> Value {
    json!(context.text(key).map_or_else(|| default.to_owned(), |text| text.to_uppercase()))
}
