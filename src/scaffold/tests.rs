use serde_json::json;

use super::*;

/// A catalog of these entries, each with an empty script.
fn catalog(entries: &[Value]) -> (tempfile::TempDir, Catalog) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(CATALOG_FILE), format!("{:#}\n", json!(entries))).unwrap();
    let catalog = Catalog::load(dir.path());
    (dir, catalog)
}

fn named(name: &str) -> Value {
    json!({ "name": name, "scripts": "run.sh", "dockerfile": "docker/x" })
}

fn request(name: &str) -> Request {
    Request { name: name.to_owned(), ..Request::default() }
}

/// Everything below a directory, with its content.
fn tree(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let content = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            if path.is_dir() {
                open.push(path.clone());
            }
            found.push((path, content));
        }
    }
    found.sort();
    found
}

#[test]
fn the_nearest_entry_has_framework_then_project_then_words_of_the_workload() {
    let names = [
        "tf2_vllm_llama-3.1-8b",
        "pyt_train_llama-3.1-8b",
        "pyt_vllm_qwen3-32b",
        "pyt_vllm_llama-2-70b",
        "pyt_vllm_mixtral",
    ];
    let (_dir, catalog) = catalog(&names.map(named));
    let near = |name| nearest(&catalog, name).remove(0);
    let best = near("pyt_vllm_llama-3.1-8b");
    assert_eq!(best.model.name, "pyt_vllm_llama-2-70b");
    assert_eq!(best.why, "same framework (pyt) and project (vllm), both llama");
    assert_eq!(near("pyt_sglang_llama-3.1-8b").model.name, "pyt_train_llama-3.1-8b");
    assert_eq!(near("pyt_vllm_qwen3-8b").model.name, "pyt_vllm_qwen3-32b");
    assert!(nearest(&catalog, "jax_maxtext_llama").is_empty());
    assert_eq!(
        near("pyt_vllm_mixtrall").model.name,
        "pyt_vllm_mixtral",
        "the likeness decides, at last"
    );
    assert_eq!(near("pyt").model.name, "pyt_train_llama-3.1-8b", "the first of equals");
}

#[test]
fn the_stack_is_told_by_the_name() {
    for (name, stack) in [
        ("pyt_vllm_llama-3.1-8b", Stack::Vllm),
        ("pyt_sglang_x", Stack::Sglang),
        ("pyt_megatron-lm_train_llama", Stack::Megatron),
        ("primus_pyt_megatron_lm_train", Stack::Megatron),
        ("jax_maxtext_train_x", Stack::Maxtext),
        ("pyt_hf_bert", Stack::Huggingface),
        ("pyt_train_x", Stack::Pytorch),
        ("rust_gemm", Stack::Generic),
        ("a/pyt_vllm_x", Stack::Vllm),
    ] {
        assert_eq!(Stack::of(name), stack, "{name}");
    }
}

#[test]
fn a_url_is_a_repository_or_a_model() {
    let model = |url: &str| match Link::parse(url).unwrap() {
        Link::HubModel(name) => Some(name),
        Link::Repository(_) => None,
    };
    assert_eq!(model("https://huggingface.co/Qwen/Qwen3-8B").as_deref(), Some("Qwen/Qwen3-8B"));
    assert_eq!(model("https://huggingface.co/a/b/tree/main").as_deref(), Some("a/b"));
    assert_eq!(model("https://huggingface.co/datasets/a/b"), None);
    assert_eq!(model("https://github.com/ROCm/MAD"), None);
    for bad in [
        "https://u:hunter2@host.example/x",
        "https://ghp_x@host.example/x",
        "a b",
        "--upload-pack=x",
        "ext::sh -c x",
        "nonsense",
    ] {
        let error = Link::parse(bad).err().unwrap_or_else(|| panic!("{bad}")).to_string();
        assert!(!error.contains("hunter2") && !error.contains("ghp_x"), "{error}");
    }
}

#[test]
fn tags_are_of_the_kind_and_not_of_the_workload() {
    let template = json!({
        "name": "pyt_vllm_qwen3-8b", "scripts": "run.sh", "n_gpus": "2", "training_precision": "bf16",
        "tags": ["pyt", "vllm", "qwen3", "inference", "gpu-smoke", "bf16"], "skip_gpu_arch": "gfx90a",
        "timeout": 60, "multiple_results": "x.csv", "tune": {},
    });
    let (_dir, catalog) = catalog(&[template]);
    let entry = Scaffold::new(&catalog, &request("pyt_vllm_llama_fp8")).unwrap().entry;
    assert_eq!(entry["tags"], json!(["pyt", "vllm", "inference", "fp8"]));
    assert_eq!(entry["training_precision"], "fp8");
    assert_eq!((&entry["n_gpus"], &entry["timeout"]), (&json!("2"), &json!(60)));
    assert_eq!(entry["skip_gpu_arch"], "gfx90a");
    assert!(entry.get("multiple_results").is_none() && entry.get("tune").is_none());
    // Another stack: what is about the software stays behind.
    let other = Scaffold::new(&catalog, &request("pyt_train_vit")).unwrap().entry;
    assert!(other.get("skip_gpu_arch").is_none());
}

#[test]
fn what_a_user_wrote_stays_a_comment() {
    let (_dir, catalog) = catalog(&[]);
    let notes = "one\nrm -rf /\r\n# @stand-in-code@\n$(touch x)\u{1b}[31m".to_owned();
    let request = Request { notes: Some(notes), ..request("pyt_vllm_x") };
    let scaffold = Scaffold::new(&catalog, &request).unwrap();
    let run = &scaffold.files.iter().find(|f| f.executable).unwrap().text;
    let about: Vec<&str> = run.lines().skip(1).take(5).collect();
    assert_eq!(about[1..], ["# one", "# rm -rf /", "# # @stand-in-code@", "# $(touch x)[31m"]);
    assert_eq!(run.matches("EPOCHREALTIME").count(), 2);
}

#[test]
fn a_failure_on_the_way_leaves_no_trace() {
    let (dir, catalog) = catalog(&[]);
    let scaffold = Scaffold::new(&catalog, &request("pyt_sglang_x")).unwrap();
    let before = tree(dir.path());
    let steps = scaffold.files.len() + 2;
    for stop_at in 0..steps {
        let asked = std::cell::Cell::new(0);
        let cancelled = || asked.replace(asked.get() + 1) == stop_at;
        let error = format!("{:#}", scaffold.write(&cancelled).unwrap_err());
        assert!(error.contains("nothing was written") && error.contains("interrupted"), "{error}");
        assert_eq!(tree(dir.path()), before, "stopped at step {stop_at}");
    }
    // Somebody else edits the catalog meanwhile.
    fs::write(dir.path().join(CATALOG_FILE), "[ ]").unwrap();
    let before = tree(dir.path());
    let error = format!("{:#}", scaffold.write(&|| false).unwrap_err());
    assert!(error.contains("changed by somebody else"), "{error}");
    assert_eq!(tree(dir.path()), before);
    // What was made meanwhile is not overwritten.
    fs::write(dir.path().join(CATALOG_FILE), "[]\n").unwrap();
    fs::create_dir_all(dir.path().join("scripts/pyt_sglang_x")).unwrap();
    fs::write(dir.path().join("scripts/pyt_sglang_x/run.sh"), "mine").unwrap();
    let before = tree(dir.path());
    let error = format!("{:#}", scaffold.write(&|| false).unwrap_err());
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn every_stack_is_valid_with_every_image() {
    for stack in Stack::ALL {
        let (_dir, catalog) = catalog(&[]);
        let name = match stack {
            Stack::Pytorch => "pyt_train_x".to_owned(),
            Stack::Generic => "onnx_runtime_x".to_owned(),
            other => format!("fw_{}_x", other.name()),
        };
        let scaffold = Scaffold::new(&catalog, &request(&name)).unwrap();
        assert_eq!(scaffold.stack, stack);
        let found = scaffold.validate().unwrap();
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}
