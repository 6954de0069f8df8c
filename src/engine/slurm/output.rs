//! What the nodes print: one log for people, and what is found in it, per node.

use std::path::Path;

use anyhow::Result;

use super::follow::Tail;
use crate::contract::LogFindings;
use crate::engine::Slot;
use crate::engine::supervised::Sink;
use crate::plan::Job;
use crate::progress::Activity;

/// Bytes read at a time.
const BUFFER: usize = 64 << 10;

/// The output of one Execution. With several nodes, `run.log` has the lines of all of them, each
/// behind the number of its node, and `node-<n>.log` those of one.
pub(super) struct Output {
    all: Sink,
    nodes: Vec<Node>,
    ready: bool,
    count: u32,
    buffer: Vec<u8>,
}

struct Node {
    tail: Tail,
    /// None where there is one node: its output is all there is.
    own: Option<(Sink, Vec<u8>)>,
}

impl Output {
    /// The output of `count` nodes.
    pub(super) fn create(job: &Job, slot: &Slot, count: u32) -> Result<Output> {
        let all = sink(job, slot)?;
        let mut output =
            Output { all, nodes: Vec::new(), ready: false, count, buffer: vec![0; BUFFER] };
        output.open_nodes(job, slot)?;
        Ok(output)
    }

    fn open_nodes(&mut self, job: &Job, slot: &Slot) -> Result<()> {
        self.nodes.clear();
        self.ready = false;
        for rank in 0..self.count {
            let own = match self.count {
                1 => None,
                _ => {
                    let log = slot.dir.join(format!("node-{rank}.log"));
                    Some((Sink::create(job, &log, false, Activity::silent())?, Vec::new()))
                }
            };
            self.nodes.push(Node { tail: Tail::new(Path::new("").to_owned()), own });
        }
        Ok(())
    }

    /// Begins anew: Slurm started the job again.
    pub(super) fn restart(&mut self, job: &Job, slot: &Slot) -> Result<()> {
        self.all = sink(job, slot)?;
        self.open_nodes(job, slot)
    }

    /// Reads what is new of what the nodes wrote below `execution`.
    pub(super) fn read(&mut self, execution: &Path) {
        if !self.ready {
            self.ready = true;
            for (rank, node) in self.nodes.iter_mut().enumerate() {
                node.tail = Tail::new(execution.join(format!("node-{rank}.out")));
            }
        }
        let Output { all, nodes, buffer, .. } = self;
        for (rank, Node { tail, own }) in nodes.iter_mut().enumerate() {
            match own {
                None => tail.read(buffer, |chunk| all.feed(chunk)),
                Some((sink, line)) => tail.read(buffer, |chunk| {
                    sink.feed(chunk);
                    merge(all, line, rank, chunk);
                }),
            }
        }
    }

    /// A line of Slurm's own, at the end of the log.
    pub(super) fn say(&mut self, text: &str) {
        self.all.feed(format!("{text}\n").as_bytes());
    }

    /// What all of it holds, what each node's holds, and trouble with the logs.
    pub(super) fn finish(mut self) -> (LogFindings, Vec<LogFindings>, Vec<String>) {
        let (mut of_nodes, mut trouble) = (Vec::new(), Vec::new());
        for (rank, Node { own, .. }) in self.nodes.into_iter().enumerate() {
            let Some((sink, line)) = own else { continue };
            if !line.is_empty() {
                merge(&mut self.all, &mut line.clone(), rank, b"\n");
            }
            let (findings, more) = sink.finish();
            of_nodes.push(findings);
            trouble.extend(more);
        }
        let (all, more) = self.all.finish();
        trouble.extend(more);
        (all, of_nodes, trouble)
    }
}

/// Takes the output of all nodes.
fn sink(job: &Job, slot: &Slot) -> Result<Sink> {
    Sink::create(job, &slot.log(), slot.live_output, slot.activity.clone())
}

/// Adds the lines that `chunk` completes; a very long one comes in pieces.
fn merge(all: &mut Sink, line: &mut Vec<u8>, rank: usize, chunk: &[u8]) {
    for piece in chunk.split_inclusive(|b| *b == b'\n') {
        line.extend_from_slice(piece);
        if line.ends_with(b"\n") || line.len() > BUFFER {
            all.feed(format!("{rank}: ").as_bytes());
            if !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            all.feed(line);
            line.clear();
        }
    }
}
