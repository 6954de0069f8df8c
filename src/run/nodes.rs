//! Executions on several nodes of a cluster: what each says, and what they say together.

use super::measure::results_of;
use crate::contract::{Conclusion, Evidence, aggregate, conclude};
use crate::engine::Execution;
use crate::plan::Job;
use crate::record::NodeRecord;

/// What came of an Execution on one node.
pub(super) struct Node {
    pub record: NodeRecord,
    conclusion: Option<Conclusion>,
}

/// The nodes of an Execution, each weighed by itself if there are several.
pub(super) fn of(job: &Job, execution: &Execution) -> Vec<Node> {
    let alone = execution.nodes.len() < 2;
    let nodes = execution.nodes.iter().map(|end| {
        let evidence = || Evidence {
            exit: end.exit,
            log: &end.log,
            results: results_of(job, end.results.as_deref(), execution.stale_results),
            recorded: None,
            scheduler: None,
        };
        let conclusion = (!alone).then(|| conclude(evidence()));
        let samples = conclusion.as_ref().and_then(|c| c.outcome.clone().ok()).unwrap_or_default();
        let (name, exit, duration_s) = (end.name.clone(), end.exit, end.duration_s);
        Node { record: NodeRecord { name, exit, duration_s, samples }, conclusion }
    });
    nodes.collect()
}

/// What they amount to together.
pub(super) fn together(job: &Job, nodes: &mut [Node]) -> Conclusion {
    let rules = job.slurm.as_ref().map(|spec| spec.aggregate.clone()).unwrap_or_default();
    let said = nodes
        .iter_mut()
        .filter_map(|node| Some((node.record.name.clone(), node.conclusion.take()?)));
    aggregate(&said.collect::<Vec<_>>(), &rules)
}
