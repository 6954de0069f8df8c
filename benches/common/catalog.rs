//! A catalog of any size, like those that people have: every script is different, has
//! functions, calls Python helpers, and reports its number in one of the usual ways.

use std::fs;
use std::path::Path;

use serde_json::json;

const FRAMEWORKS: [&str; 5] = ["pyt", "jax", "tf", "vllm", "sgl"];
const TASKS: [&str; 6] = ["train", "pretrain", "finetune", "inference", "serving", "gemm"];
const PRECISIONS: [&str; 4] = ["fp16", "bf16", "fp8", ""];

/// Name of entry `i`.
pub fn name(i: usize) -> String {
    let framework = FRAMEWORKS[i % FRAMEWORKS.len()];
    format!("{framework}_project{}_{}-{i}b", i % 97, TASKS[i % TASKS.len()])
}

/// Writes a catalog of `entries` entries over `scripts` different scripts to `root`.
pub fn generate(root: &Path, entries: usize, scripts: usize) {
    for i in 0..scripts {
        let dir = root.join(format!("scripts/workload{i}"));
        fs::create_dir_all(&dir).expect("a directory for the script");
        fs::write(dir.join("run.sh"), script(i)).expect("a script");
        fs::write(dir.join("train.py"), helper(i)).expect("a helper");
    }
    let docker = root.join("docker");
    fs::create_dir_all(&docker).expect("a directory for images");
    for i in 0..scripts.div_ceil(5) {
        for (vendor, base) in [("AMD", "rocm/pytorch:latest"), ("NVIDIA", "pytorch/pytorch:2.9.0")]
        {
            let file = format!("image{i}.ubuntu.{}.Dockerfile", vendor.to_lowercase());
            let text = format!(
                "# CONTEXT {{'gpu_vendor': '{vendor}', 'guest_os': 'UBUNTU'}}\n\
                 ARG BASE_DOCKER={base}\nFROM $BASE_DOCKER\n\n\
                 RUN pip install --no-cache-dir transformers==4.57.{i} accelerate\n"
            );
            fs::write(docker.join(file), text).expect("a Dockerfile");
        }
    }
    let models: Vec<_> = (0..entries).map(|i| entry(i, i % scripts)).collect();
    let text = serde_json::to_string_pretty(&models).expect("JSON");
    fs::write(root.join("models.json"), text).expect("a catalog");
}

fn entry(i: usize, script: usize) -> serde_json::Value {
    let framework = FRAMEWORKS[i % FRAMEWORKS.len()];
    let task = TASKS[i % TASKS.len()];
    let precision = PRECISIONS[i % PRECISIONS.len()];
    let mut entry = json!({
        "name": name(i),
        "url": "",
        "dockerfile": format!("docker/image{}", script / 5),
        "scripts": format!("scripts/workload{script}/run.sh"),
        "data": "",
        "n_gpus": if i.is_multiple_of(3) { "-1" } else { "1" },
        "owner": "somebody@example.com",
        "training_precision": precision,
        "tags": [framework, task, format!("project{}", i % 97)],
        "timeout": 3600,
        "args": format!("--model-size {i}b --batch-size {} --datatype '{precision}'", 1 << (i % 8)),
    });
    if is_table(script) {
        entry["multiple_results"] = format!("perf_workload{script}.csv").into();
    }
    entry
}

/// Whether script `i` writes a CSV rather than a line.
fn is_table(i: usize) -> bool {
    i % 5 == 4
}

fn script(i: usize) -> String {
    let (steps, warmup) = (100 + i, 5 + i % 7);
    let report = if is_table(i) {
        format!(
            "echo \"model,performance,metric\" > perf_workload{i}.csv\n\
             for size in 1 2 4 8; do\n    value=$(measure \"$size\")\n    \
             echo \"batch_$size,$value,samples_per_second\" >> perf_workload{i}.csv\ndone\n"
        )
    } else if i.is_multiple_of(2) {
        "value=$(measure \"$batch_size\")\n\
         echo \"performance: $value samples_per_second\"\n"
            .to_owned()
    } else {
        "throughput=$(measure \"$batch_size\")\nreport() {\n    \
         printf 'performance: %s %s\\n' \"$1\" \"$2\"\n}\n\
         report \"$throughput\" tokens_per_second\n"
            .to_owned()
    };
    format!(
        r#"#!/usr/bin/env bash
# Workload {i}: trains for {steps} steps, of which the first {warmup} do not count.
set -euo pipefail

model_size=7b
batch_size=${{MAD_MODEL_BATCH_SIZE:-{batch}}}
datatype=bf16
while [[ $# -gt 0 ]]; do
    case "$1" in
        --model-size) model_size="$2"; shift 2 ;;
        --batch-size) batch_size="$2"; shift 2 ;;
        --datatype) datatype="$2"; shift 2 ;;
        *) echo "unknown argument $1" >&2; exit 2 ;;
    esac
done

log() {{
    echo "[$(date +%H:%M:%S)] $*" >&2
}}

require() {{
    local program
    for program in "$@"; do
        if ! command -v "$program" > /dev/null; then
            log "$program is missing"
            exit 1
        fi
    done
}}

measure() {{
    local batch="$1" output
    output=$(mktemp)
    python3 train.py --steps {steps} --warmup {warmup} --batch-size "$batch" \
        --model-size "$model_size" --datatype "$datatype" | tee "$output" >&2
    grep "samples/s" "$output" | tail -n 1 | awk '{{print $(NF - 1)}}'
    rm -f "$output"
}}

require python3 grep awk
export HSA_FORCE_FINE_GRAIN_PCIE=1 NCCL_DEBUG=WARN
if [ "${{MAD_RUNTIME_NGPUS:-1}}" -gt 1 ]; then
    export OMP_NUM_THREADS=$(( $(nproc) / MAD_RUNTIME_NGPUS ))
    log "using $MAD_RUNTIME_NGPUS GPUs"
fi
log "model $model_size, batch size $batch_size, $datatype"
{report}"#,
        batch = 8 << (i % 4),
    )
}

fn helper(i: usize) -> String {
    format!(
        "import argparse\nimport time\n\n\ndef step(size):\n    \
         return sum(x * x for x in range(size * {}))\n\n\ndef main():\n    \
         parser = argparse.ArgumentParser()\n    \
         for name in (\"--steps\", \"--warmup\", \"--batch-size\"):\n        \
         parser.add_argument(name, type=int, default={})\n    \
         parser.add_argument(\"--model-size\")\n    parser.add_argument(\"--datatype\")\n    \
         args = parser.parse_args()\n    start = time.perf_counter()\n    \
         for _ in range(args.steps):\n        step(args.batch_size)\n    \
         took = time.perf_counter() - start\n    \
         print(f\"{{args.steps * args.batch_size / took}} samples/s\")\n\n\nmain()\n",
        100 + i,
        1 + i % 9
    )
}
