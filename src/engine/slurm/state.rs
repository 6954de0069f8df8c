//! States of jobs, as Slurm's programs print them.

/// What Slurm knows of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JobState {
    /// `PENDING`, `RUNNING`, `TIMEOUT`, …, without what may stand behind it.
    pub(super) state: String,
    /// Who cancelled it, where that is said.
    pub(super) by: Option<String>,
    /// Why it waits, or ended; empty if nothing is said.
    pub(super) reason: String,
    /// Its nodes; empty if it has none yet.
    pub(super) nodes: String,
}

/// States that a job does not leave.
const ENDED: [&str; 11] = [
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "LAUNCH_FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
];

impl JobState {
    fn new(state: &str, reason: &str, nodes: &str) -> JobState {
        // sacct: `CANCELLED by 1000`, or `CANCELLED+` where it is cut.
        let mut words = state.split_whitespace();
        let word = words.next().unwrap_or_default().trim_end_matches('+').to_owned();
        let by = words.nth(1).map(|uid| format!("uid {uid}"));
        let said = |text: &str| match text.trim() {
            "None" | "(null)" | "None assigned" | "N/A" => String::new(),
            text => text.to_owned(),
        };
        JobState { state: word, by, reason: said(reason), nodes: said(nodes) }
    }

    /// Whether it is over.
    pub(super) fn ended(&self) -> bool {
        ENDED.contains(&self.state.as_str())
    }

    /// Whether it is over because its script is.
    pub(super) fn is_of_the_script(&self) -> bool {
        ["COMPLETED", "FAILED"].contains(&self.state.as_str())
    }

    /// What a task of an array is that Slurm, which knew it as waiting, has forgotten: it keeps
    /// none that was cancelled before it began.
    pub(super) fn cancelled() -> JobState {
        JobState { state: "CANCELLED".to_owned(), ..JobState::default() }
    }

    /// Whether it has not begun.
    pub(super) fn waits(&self) -> bool {
        ["PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"]
            .contains(&self.state.as_str())
    }
}

/// The format that [`squeue`] reads.
pub(super) const SQUEUE_FORMAT: &str = "%i|%T|%N|%r";

/// Id and state of each line that `squeue` printed.
pub(super) fn squeue(text: &str) -> Vec<(String, JobState)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(4, '|');
            let (id, state) = (fields.next()?, fields.next()?);
            let (nodes, reason) = (fields.next()?, fields.next()?);
            Some((id.trim().to_owned(), JobState::new(state, reason, nodes)))
        })
        .collect()
}

/// The fields that [`sacct`] reads.
pub(super) const SACCT_FORMAT: &str = "JobID,State,NodeList,Reason";

/// Id and state of each job in what `sacct` printed: tasks of an array that never began share a
/// line.
pub(super) fn sacct(text: &str) -> Vec<(String, JobState)> {
    let lines = squeue(text).into_iter();
    lines
        .flat_map(|(id, state)| tasks(&id).into_iter().map(move |id| (id, state.clone())))
        .collect()
}

/// The ids behind `7_[0,4-9%2]`; of a job that is none of an array, its own.
fn tasks(id: &str) -> Vec<String> {
    let Some((array, list)) = id.split_once("_[") else { return vec![id.to_owned()] };
    let list = list.trim_end_matches(']').split('%').next().unwrap_or_default();
    let mut found = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else { continue };
        found.extend((first..=last).take(TASKS).map(|task| format!("{array}_{task}")));
    }
    found
}

/// More tasks no array has: the greatest number that Slurm can be configured for.
const TASKS: usize = 4_000_001;

/// What `scontrol -o show job` printed about one job; of several lines, which a requeued job
/// has, the last counts.
pub(super) fn scontrol(text: &str) -> Option<JobState> {
    let line = text.lines().rfind(|line| line.contains("JobState="))?;
    let value = |key: &str| {
        let words = line.split(' ');
        words.filter_map(|w| w.strip_prefix(key)).next().unwrap_or_default()
    };
    Some(JobState::new(value("JobState="), value("Reason="), value("NodeList=")))
}

/// What an end means, and what to do about it.
pub(super) fn meaning(state: &str) -> &'static str {
    match state {
        "TIMEOUT" => "the job reached its time limit (`slurm.time`, or --timeout)",
        "DEADLINE" => "the job's deadline passed",
        "NODE_FAIL" => "a node of the job failed",
        "BOOT_FAIL" => "a node could not be booted",
        "LAUNCH_FAILED" => "the job could not be launched",
        "OUT_OF_MEMORY" => "the job used more memory than it had (`slurm.mem`)",
        "CANCELLED" => "somebody cancelled the job",
        "PREEMPTED" => "another job took its place",
        "REVOKED" => "the job was revoked: another cluster runs it",
        "FAILED" => "the job failed",
        _ => "the job ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_squeue() {
        let found = squeue(
            "7|PENDING||Resources\n8|RUNNING|n[1-2]|None\n9|CANCELLED|n1|None\nrubbish\n\
             10|PENDING||ReqNodeNotAvail, UnavailableNodes:n[1|3]\n",
        );
        let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["7", "8", "9", "10"]);
        assert!(found[0].1.waits() && found[0].1.reason == "Resources");
        assert!(!found[1].1.ended() && found[1].1.nodes == "n[1-2]");
        assert!(found[2].1.ended() && found[2].1.reason.is_empty());
        assert!(found[3].1.reason.ends_with("n[1|3]"));
    }

    #[test]
    fn who_cancelled_is_kept() {
        let found = sacct("9|CANCELLED by 1000|n1|None\n10|OUT_OF_ME+|n1|None\n");
        assert_eq!(found[0].1.state, "CANCELLED");
        assert_eq!(found[0].1.by.as_deref(), Some("uid 1000"));
        assert_eq!(found[1].1.state, "OUT_OF_ME");
    }

    #[test]
    fn tasks_of_an_array() {
        let found =
            sacct("7_[0,4-6%2]|CANCELLED by 0||None\n7_1|COMPLETED|n1|None\n8|FAILED|n1|\n");
        let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["7_0", "7_4", "7_5", "7_6", "7_1", "8"]);
        assert!(found[3].1.ended() && found[3].1.by.as_deref() == Some("uid 0"));
        assert!(sacct("7_[x-,9-3]|PENDING||None\n").is_empty());
    }

    #[test]
    fn the_line_of_scontrol() {
        let text = "JobId=1 JobName=x UserId=a(0) JobState=NODE_FAIL Reason=NodeDown \
                    Dependency=(null) ReqNodeList=(null) NodeList=n1 ExitCode=0:53\n";
        let state = scontrol(text).unwrap();
        assert_eq!((state.state.as_str(), state.reason.as_str()), ("NODE_FAIL", "NodeDown"));
        assert_eq!(state.nodes, "n1");
        assert_eq!(scontrol("slurm_load_jobs error: Invalid job id specified"), None);
    }
}
