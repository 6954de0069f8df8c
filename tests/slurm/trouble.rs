//! A cluster that is not well, or not there.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::cluster::Cluster;
use crate::common::{Fixture, Mad};

const WAIT: &str = "echo begun\nuntil [ -e \"$DIR/go\" ]; do sleep 0.1; done\n\
    echo \"performance: 5 tokens_per_second\"";

pub(crate) fn the_controller_goes_and_comes_back(cluster: &Cluster) {
    let fixture = Fixture::with("one", WAIT);
    let mad = cluster.benchmark(&fixture, "{}", &["--live-output"]).start();
    cluster.until("it has begun", || mad.said().contains("begun"));
    cluster.controller("stop");
    cluster.until("it is said", || mad.said().contains("the job goes on, and is waited for"));
    cluster.controller("start");
    cluster.until("it is said", || mad.said().contains("Slurm answers again"));
    std::fs::write(fixture.path("go"), "").expect("a file");
    mad.wait().exits(0);
}

pub(crate) fn the_controller_is_away_at_first(cluster: &Cluster) {
    let fixture = Fixture::with("one", WAIT);
    std::fs::write(fixture.path("go"), "").expect("a file");
    cluster.controller("stop");
    let mad = cluster.benchmark(&fixture, "{}", &[]).start();
    cluster.until("it is said", || mad.said().contains("submitting again until it answers"));
    cluster.controller("start");
    mad.wait().exits(0);
    assert_eq!(fixture.rows().len(), 1);
}

/// `mad` with these programs of Slurm's alone.
fn with_programs(fixture: &Fixture, mad: Mad, programs: &[&str]) -> Mad {
    let bin = fixture.path("bin");
    std::fs::create_dir_all(&bin).expect("a directory");
    for entry in std::fs::read_dir("/usr/bin").expect("/usr/bin").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let of_slurm = ["sacct", "squeue", "scontrol", "sbatch", "scancel", "srun", "sinfo"];
        if !of_slurm.contains(&&*name) || programs.contains(&&*name) {
            let _ = symlink(Path::new("/usr/bin").join(&name), bin.join(name));
        }
    }
    mad.env("PATH", format!("{}:/bin-is-not-here", bin.display()))
}

pub(crate) fn without_accounting_and_squeue(cluster: &Cluster) {
    for programs in [&["sbatch", "scancel", "scontrol"][..], &["sbatch", "scancel", "squeue"]] {
        let fixture = Fixture::with("one", WAIT);
        let mad = cluster.benchmark(&fixture, "{}", &["--live-output"]);
        let mad = with_programs(&fixture, mad, programs).start();
        let job = cluster.running();
        cluster.until("it has begun", || mad.said().contains("begun"));
        assert!(cluster.slurm(&["scancel", &job]).status.success());
        mad.wait().exits(3).says(&["CANCELLED"]);
    }
}

pub(crate) fn without_slurm(cluster: &Cluster) {
    let fixture = Fixture::with("one", WAIT);
    let mad = cluster.benchmark(&fixture, "{}", &[]);
    with_programs(&fixture, mad, &[])
        .run()
        .exits(1)
        .says(&["needs Slurm, and sbatch is not on PATH"]);
}
