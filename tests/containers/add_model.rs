//! What `mad add-model` makes runs in a container at once.

use serde_json::json;

use crate::common::Fixture;
use crate::engine::Engine;

pub(crate) fn every_stack_runs_at_once(engine: &Engine) {
    let fixture = Fixture::empty();
    // Names of images follow from those of entries.
    let own = std::process::id();
    let context = json!({
        "gpu_vendor": "AMD",
        "docker_build_arg": { "BASE_DOCKER": engine.base },
        "docker_env_vars": { "MAD_STAND_IN": "1" },
    });
    let context = context.to_string();
    let stacks = [
        "pyt_vllm",
        "pyt_sglang",
        "pyt_train",
        "pyt_hf",
        "pyt_megatron",
        "jax_maxtext",
        "onnx_any",
    ];
    for stack in stacks {
        let name = format!("{stack}_t{own}");
        engine.mad(&fixture, &["add-model", &name]).run().exits(0);
        let mut args = vec!["benchmark", &name, "--ngpus", "0", "--samples", "1", "-c", &context];
        // Its Dockerfile installs what no registry is here for.
        if stack == "pyt_hf" {
            args.extend(["--use-image", &engine.base]);
        }
        engine.mad(&fixture, &args).run().exits(0);
        let rows = fixture.rows();
        let row = rows.last().expect("a row");
        assert_eq!((row.get("model"), row.get("status")), (name.as_str(), "SUCCESS"));
        assert_eq!(row.get("metric"), "stand_in_iterations_per_second");
        assert_eq!(row.get("launcher"), "container");
    }
}
