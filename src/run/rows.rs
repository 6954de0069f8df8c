//! Rows of perf.csv from what a Run knows.

use super::Outcome;
use crate::baseline::Baseline;
use crate::catalog::{Count, Model};
use crate::contract::Sample;
use crate::plan::{Job, Planner};
use crate::record::Measurement;
use crate::regress::median;
use crate::results::{COLUMNS, Row};

/// The columns that depend on the entry and the host alone.
fn common(planner: &Planner<'_>, model: &Model) -> Row {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let entry = model.entry();
    let machine = planner.machine;
    let gpus = match planner.wanted_gpus(model) {
        Count::All => machine.gpus.len().to_string(),
        Count::Exactly(n) => n.to_string(),
    };
    let deployment = variable("MAD_DEPLOYMENT_TYPE");
    let launcher = model.launcher().unwrap_or_else(|| variable("MAD_LAUNCHER"));
    let build_number = variable("BUILD_NUMBER");
    let mut row = Row::default();
    row.set("model", &model.name)
        .set("n_gpus", &gpus)
        .set("nnodes", "1")
        .set("gpus_per_node", gpus)
        .set("training_precision", model.precision())
        .set("pipeline", variable("pipeline"))
        .set("args", planner.masker().mask_str(&model.args()))
        .set("tags", model.tags().join(","))
        .set(
            "machine_name",
            match machine.simulated {
                true => format!("simulated-{}", machine.hostname),
                false => machine.hostname.clone(),
            },
        )
        .set("deployment_type", if deployment.is_empty() { "local".into() } else { deployment })
        .set("launcher", launcher)
        .set("gpu_architecture", machine.gpus.first().map_or("", |g| g.arch.as_str()))
        .set("dataname", entry.data.clone().unwrap_or_default())
        .set("build_number", if build_number.is_empty() { "0".into() } else { build_number })
        .set(
            "additional_docker_run_options",
            entry.additional_docker_run_options.clone().unwrap_or_default(),
        );
    row
}

/// The column of perf.csv of that name; not the one that only a comparison fills.
fn column(name: &str) -> Option<&'static str> {
    COLUMNS.into_iter().find(|c| *c == name && *c != "relative_change")
}

/// The row of an entry that was not measured.
pub(super) fn without_number(planner: &Planner<'_>, model: &Model, outcome: &Outcome) -> Row {
    let mut row = common(planner, model);
    row.set("status", outcome.status.word());
    row
}

/// The rows of a Measurement: one per metric, or one that says FAILURE.
pub(super) fn of_measurement<'m>(
    planner: &Planner<'_>,
    job: &Job,
    measurement: &'m Measurement,
    baseline: Option<&Baseline>,
) -> Vec<(Row, Option<&'m Sample>)> {
    let mut base = common(planner, &job.model);
    base.set("build_duration", format!("{:.3}", measurement.build_duration_s))
        .set("test_duration", format!("{:.3}", measurement.test_duration_s()))
        .set("n_gpus", job.n_gpus.to_string())
        .set("nnodes", job.nodes().to_string())
        .set("gpus_per_node", (job.n_gpus / job.nodes()).to_string());
    if job.slurm.is_some() {
        // Of this host, which is none of those that ran it.
        let nodes = measurement.counted().next().map(|e| e.nodes.as_slice()).unwrap_or_default();
        let nodes: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        base.set("machine_name", nodes.join(","))
            .set("gpu_architecture", "")
            .set("deployment_type", "slurm");
    }
    if base.get("launcher").is_empty() {
        base.set("launcher", &measurement.engine);
    }
    if let Some(source) = &measurement.prepared.source {
        base.set("git_commit", &source.commit);
    }
    if let Some(data) = &measurement.prepared.data {
        let text = |value: Option<String>| value.unwrap_or_default();
        base.set("dataname", &data.names)
            .set("data_provider_type", &data.providers)
            .set("data_size", text(data.bytes.map(|b| b.to_string())))
            .set("data_download_duration", text(data.seconds.map(|s| format!("{s:.3}"))));
    }
    if let Some(image) = &measurement.prepared.image {
        // madengine's docker_sha is the digest of the base image; of an image that was not
        // built here, its own says more.
        let digest = image.base_digest.as_ref().or(image.digest.as_ref());
        let sha = digest.and_then(|d| Some(d.split_once('@')?.1)).unwrap_or_default();
        let dockerfile = image.dockerfile.as_ref().map(|path| path.display().to_string());
        base.set("docker_image", &image.name)
            .set("docker_file", dockerfile.unwrap_or_default())
            .set("base_docker", image.base.clone().unwrap_or_default())
            .set("docker_sha", sha);
    }
    if measurement.failure.is_some() {
        base.set("status", "FAILURE");
        return vec![(base, None)];
    }
    if measurement.skipped() {
        base.set("status", "SKIPPED");
        return vec![(base, None)];
    }
    let values = measurement.values();
    values
        .into_iter()
        .filter_map(|(key, samples)| {
            let first = *samples.first()?;
            let numbers: Vec<f64> = samples.iter().map(|s| s.value).collect();
            let value = median(&numbers);
            // One Execution: the number as the script wrote it.
            let text = if samples.len() == 1 { first.text.clone() } else { value.to_string() };
            let mut row = base.clone();
            // What the script says of a row, it says of the column of that name, too.
            for (column, cell) in first.columns.iter().filter_map(|(c, v)| Some((column(c)?, v))) {
                row.set(column, cell);
            }
            if let Some(name) = &first.row {
                row.set("model", format!("{}_{name}", measurement.model));
            }
            row.set("performance", text).set("metric", &first.metric).set("status", "SUCCESS");
            let accepted = baseline.and_then(|b| b.median_in(&key, &first.metric));
            if let Some(accepted) = accepted.filter(|a| a.is_normal()) {
                row.set("relative_change", format!("{:.4}", value / accepted - 1.0));
            }
            Some((row, Some(first)))
        })
        .collect()
}
