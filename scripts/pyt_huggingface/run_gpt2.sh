#!/usr/bin/env bash
# Fine-tunes GPT-2 as a causal language model with the example script of HuggingFace transformers.
# Runs inside a clone of the transformers repository. Lever: MAD_MODEL_BATCH_SIZE (per GPU).
set -euo pipefail

batch=${MAD_MODEL_BATCH_SIZE:-8}
steps=${MAD_MODEL_STEPS:-100}
gpus=${MAD_RUNTIME_NGPUS:-1}
for setting in "MAD_MODEL_BATCH_SIZE=$batch" "MAD_MODEL_STEPS=$steps" "MAD_RUNTIME_NGPUS=$gpus"; do
    [[ ${setting#*=} =~ ^[1-9][0-9]{0,5}$ ]] || {
        echo "$setting: expected a whole number from 1" >&2
        exit 1
    }
done
if [[ -n ${MAD_SECRETS_HFTOKEN:-} ]]; then
    export HF_TOKEN=$MAD_SECRETS_HFTOKEN
fi

example=examples/pytorch/language-modeling/run_clm.py
[[ -f $example ]] || {
    echo "$example not found: this entry runs inside a clone of its url" >&2
    exit 1
}
python3 check_setup.py
# The examples must match the installed library, not whatever the clone has checked out.
version=$(python3 -c 'import transformers; print(transformers.__version__)')
git rev-parse --quiet --verify "v$version^{commit}" >/dev/null ||
    git fetch --quiet --depth 1 origin tag "v$version"
git -c advice.detachedHead=false checkout --quiet "v$version"

options=(
    --model_name_or_path openai-community/gpt2
    --dataset_name Salesforce/wikitext
    --dataset_config_name wikitext-2-raw-v1
    --block_size 1024
    --do_train
    --bf16
    --max_steps "$steps"
    --per_device_train_batch_size "$batch"
    --logging_steps 10
    --save_strategy no
    --report_to none
    --seed 42
    --output_dir output
)
rm -rf output
if [[ $gpus -gt 1 ]]; then
    read -r -a runner <<<"${MAD_MULTI_NODE_RUNNER:-torchrun --standalone --nproc_per_node=$gpus}"
    "${runner[@]}" "$example" "${options[@]}"
else
    python3 "$example" "${options[@]}"
fi

# Prints the line `performance: <value> train_samples_per_second`.
python3 report.py output/train_results.json
