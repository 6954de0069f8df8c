//! Containers on the nodes.

use std::process::Command;

use serde_json::json;

use crate::cluster::Cluster;
use crate::common::Fixture;

const IMAGE: &str = "localhost/mad-slurm-tests:1";

/// Makes an image of Debian's static programs.
fn image(dir: &std::path::Path, conf: &std::path::Path) {
    std::fs::create_dir_all(dir).expect("a directory");
    for (from, to) in [("/bin/bash-static", "bash"), ("/bin/busybox", "busybox")] {
        std::fs::copy(from, dir.join(to)).expect("bash-static and busybox-static");
    }
    std::fs::write(
        dir.join("Dockerfile"),
        "FROM scratch\nCOPY busybox bash /bin/\nRUN [\"/bin/busybox\", \"--install\", \"/bin\"]\n",
    )
    .expect("a file");
    let built = Command::new("podman")
        .args(["build", "--quiet", "--network=none", "--tag", IMAGE])
        .arg(dir)
        .env("CONTAINERS_CONF", conf)
        .output()
        .expect("podman");
    assert!(built.status.success(), "{built:?}");
}

pub(crate) fn podman_on_the_nodes(cluster: &Cluster) {
    let body = r#"[ ! -e /etc/debian_version ] && echo "inside, as $NODE_RANK of $NNODES: $ODD"
        pwd
        case $ODD in long) echo begun; sleep 600;; esac
        printf 'model,performance,metric\na,4,tokens_per_second\n' >out.csv"#;
    let extra = json!({ "multiple_results": "out.csv", "distributed": { "nnodes": 2 } });
    let fixture = Fixture::empty().entry("one", body, extra);
    let conf = fixture.path("containers.conf");
    std::fs::write(
        &conf,
        "[containers]\ndefault_ulimits = [\"nofile=1024:20000\", \"nproc=4096:4096\"]\n\
         [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n",
    )
    .expect("a file");
    image(&fixture.path("image"), &conf);
    let context = |odd: &str| {
        json!({ "slurm": { "container": "podman" }, "MAD_CONTAINER_IMAGE": IMAGE,
            "docker_env_vars": { "ODD": odd } })
        .to_string()
    };
    let mad = cluster.mad(&fixture, &["benchmark", "-c", &context("$(id) 'x'")]);
    mad.env("CONTAINERS_CONF", &conf).run().exits(0);
    let log = fixture.log("one");
    assert!(log.contains("1: inside, as 1 of 2: $(id) 'x'\n"), "{log}");
    assert!(log.contains("/myworkspace/run_directory"), "{log}");
    assert_eq!(fixture.rows()[0].get("performance"), "8");

    // A job that is ended takes its containers with it.
    let mad = cluster.mad(&fixture, &["benchmark", "-l", "-c", &context("long")]);
    let mad = mad.env("CONTAINERS_CONF", &conf).start();
    cluster.until("it has begun", || mad.said().contains("begun"));
    let job = cluster.running();
    mad.signal("INT");
    mad.wait().exits(3);
    cluster.until("its containers are gone", || {
        let names = Command::new("podman").args(["ps", "-a", "--format", "{{.Names}}"]).output();
        let names = String::from_utf8_lossy(&names.expect("podman").stdout).into_owned();
        !names.contains(&format!("mad-{job}-"))
    });
    let _ = Command::new("podman").args(["rmi", "--force", IMAGE]).output();
}
