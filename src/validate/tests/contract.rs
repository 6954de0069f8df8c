//! The output contract: what counts as printed.

use super::Tree;

/// The verdict on a script of a line entry: ids of the findings, joined.
fn line(files: &[(&str, &str)]) -> String {
    Tree::entry("", files).ids().join(" ")
}

fn sh(script: &str) -> String {
    line(&[("s/run.sh", script)])
}

fn py(program: &str) -> String {
    line(&[("s/run.sh", "python3 bench.py \"$@\"\n"), ("s/bench.py", program)])
}

const OK: &str = "";
const NOTHING: &str = "MAD040";
const CANNOT_TELL: &str = "MAD041";

#[test]
fn shell() {
    let table = [
        (OK, "echo \"performance: $x tok/s\""),
        (OK, "x=1; printf 'performance: %s %s\\n' \"$x\" tok"),
        (OK, "cat <<EOF\nperformance: $x tok/s\nEOF"),
        (OK, "if [ -n \"$1\" ]; then for i in 1 2; do echo performance: $i m; done; fi"),
        (OK, "report() { echo \"performance: $1 tok/s\"; }\nreport 5"),
        (OK, "log() { echo \"[$(date)] $*\"; }\nlog \"performance: $x tok/s\""),
        (OK, "line=\"performance: $x tok/s\"\necho \"$line\""),
        (OK, "line=$(echo \"performance: $x tok/s\"); echo $line"),
        (OK, "awk '{ print \"performance: \" $2 \" tok/s\" }' log.txt"),
        (OK, "awk '{ printf \"performance: %f tok/s\\n\", $2 }' log.txt"),
        (OK, "sed -n 's/tput=\\(.*\\)/performance: \\1 tok/p' log.txt"),
        (OK, "echo \"performance: $x m\" | tee out.log"),
        (OK, "echo \"performance: $x m\" > out.log\ncat out.log"),
        (OK, "echo \"performance: $x m\" > out.log\ngrep performance out.log | tail -1"),
        (OK, "{ true; echo \"performance: $x m\"; } 2>&1 | tee log"),
        (OK, "exec > >(tee log) 2>&1\necho \"performance: $x m\""),
        (OK, "bash -c 'echo \"performance: 1 m\"'"),
        (OK, "time timeout 10 bash -c 'echo performance: 1 m'"),
        (OK, "python3 - <<'EOF'\nprint('performance:', 3, 'tok/s')\nEOF"),
        (OK, "python3 -c 'print(f\"performance: {1} m\")'"),
        (OK, "CMD='echo performance: 1 m'\neval \"$CMD\""),
        (OK, "trap 'echo performance: 1 m' EXIT"),
        (OK, "case $1 in a) echo performance: 1 m;; esac"),
        (OK, "( cd /tmp && echo performance: 1 m )"),
        (OK, "cat > gen.sh <<'EOF'\necho performance: 1 m\nEOF\nbash gen.sh"),
        (OK, "grep x log | while read -r v; do echo \"performance: $v m\"; done"),
        (OK, "x=$(grep tput log.txt | head -1 || echo \"\")\necho \"performance: $x m\""),
        (OK, "while read -r l; do echo \"$l\"; done < <(echo performance: 1 m)"),
        (CANNOT_TELL, "exec \"$@\""),
        (CANNOT_TELL, "cat report"),
        (NOTHING, "tail -n 1 /proc/cpuinfo"),
        (OK, "S=${1:-go}\ngo() { echo performance: 1 m; }\n$S"),
        (NOTHING, "while [ $# -gt 0 ]; do case $1 in --a) A=$2; shift 2;; esac; done\necho $A"),
        (NOTHING, "# echo performance: 1 m\necho done"),
        (NOTHING, "line=\"performance: $x tok/s\"\necho done"),
        (NOTHING, "line=$(echo \"performance: $x tok/s\")"),
        (NOTHING, "report() { echo \"performance: $1 tok/s\"; }"),
        (NOTHING, "echo \"performance: $x m\" > out.log"),
        (NOTHING, "echo \"performance: $x m\" > /dev/null"),
        (NOTHING, "cat > gen.sh <<'EOF'\necho performance: 1 m\nEOF"),
        (NOTHING, "echo x | grep 'performance:'"),
        (NOTHING, "grep -q performance: /etc/hosts && echo found"),
        (NOTHING, "exit 0\necho performance: 1 m"),
        (NOTHING, "python3 - <<'EOF'\n# performance: 3\nx = 1\nEOF"),
        (CANNOT_TELL, "$CMD --fast"),
        (CANNOT_TELL, "./bench --fast"),
        (CANNOT_TELL, "vllm serve model"),
        (CANNOT_TELL, "git clone https://example.com/x\ncd x\npython3 train.py"),
        (CANNOT_TELL, "python3 -m vllm.entrypoints.cli"),
        (CANNOT_TELL, "vllm bench > log.txt\ngrep performance log.txt"),
        (NOTHING, "vllm bench > log.txt"),
        ("MAD044", "echo \"performance:$x tok/s\""),
        ("MAD023", "if true; then echo performance: 1 m"),
        ("MAD022", "#!bin/bash\necho performance: 1 m"),
    ];
    for (expected, script) in table {
        assert_eq!(sh(script), expected, "{script}");
    }
}

#[test]
fn scripts_that_scripts_call() {
    const PRINTS: &str = "echo \"performance: 1 m\"\n";
    let calls = [
        "bash other.sh",
        "source other.sh",
        ". ./other.sh",
        "./other.sh",
        "exec ./other.sh",
        "D=$(dirname \"$0\"); bash $D/other.sh",
        "D=\"$(cd \"$(dirname \"${BASH_SOURCE[0]}\")\" && pwd)\"\n\"$D/other.sh\"",
        "bash \"${0%/*}/other.sh\"",
        "cd \"$(dirname \"$0\")\"; sh other.sh",
        "env A=b bash other.sh",
        "for f in other.sh; do bash $f; done",
        "S=(bash other.sh)\n\"${S[@]}\"",
        "S='bash other.sh'\n$S --fast",
        "numactl -N 0 bash other.sh | tee log",
        "mpirun -np 8 bash other.sh",
        "nohup bash other.sh > log 2>&1 &\nwait\ncat log",
        "bash \"$MAD_DIR/other.sh\"",
        "if x; then S=none.sh; else S=other.sh; fi\nbash $S",
    ];
    for call in calls {
        let got = line(&[("s/run.sh", call), ("s/other.sh", PRINTS)]);
        assert_eq!(got, OK, "{call}");
    }
    assert_eq!(line(&[("s/run.sh", "echo hi"), ("s/other.sh", PRINTS)]), NOTHING);
    assert_eq!(line(&[("s/run.sh", "bash other.sh"), ("s/other.sh", "bash run.sh")]), NOTHING);
}

#[test]
fn python() {
    let table = [
        (OK, "print('performance: 1 m')"),
        (OK, "import sys\nsys.stdout.write(f'performance: {x:.2f} tok/s\\n')"),
        (
            OK,
            "def main():\n    print('performance: %.2f m' % 3)\nif __name__ == '__main__':\n    main()",
        ),
        (
            OK,
            "import logging\nlogger = logging.getLogger()\nlogger.info('performance: {} m'.format(3))",
        ),
        (OK, "line = f'performance: {x} m'\nprint(line)"),
        (OK, "def fmt(x):\n    return f'performance: {x} m'\nprint(fmt(3))"),
        (OK, "class A:\n    def run(self):\n        print('performance:', 3, 'm')\nA().run()"),
        (OK, "lines = []\nlines.append('performance: 1 m')\nprint('\\n'.join(lines))"),
        (OK, "from helper import report\nreport(3)"),
        (OK, "import helper as h\nh.report(3)"),
        (OK, "import subprocess\nsubprocess.run(['bash', 'child.sh'], check=True)"),
        (NOTHING, "\"\"\"performance: 1 m\"\"\"\nx = 1"),
        (NOTHING, "# performance: 1 m\nx = 1"),
        (NOTHING, "line = 'performance: 1 m'"),
        (NOTHING, "def report():\n    print('performance: 1 m')"),
        (NOTHING, "import helper"),
        (NOTHING, "import re\nm = re.search('performance: (.*)', t)\nprint(m)"),
        (NOTHING, "with open('x', 'w') as f:\n    print('performance: 1 m', file=f)"),
        (NOTHING, "import torch\ntorch.manual_seed(0)"),
        (CANNOT_TELL, "import my_bench_lib\nmy_bench_lib.main()"),
        (CANNOT_TELL, "import subprocess, sys\nsubprocess.run(sys.argv[1:])"),
        ("MAD023", "print('performance: 1 m'"),
    ];
    for (expected, program) in table {
        let files = [
            ("s/run.sh", "python3 -u bench.py \"$@\"\n"),
            ("s/bench.py", program),
            ("s/helper.py", "def report(x):\n    print(f'performance: {x} m')\n"),
            ("s/child.sh", "echo performance: 1 m"),
        ];
        assert_eq!(line(&files), expected, "{program}");
    }
    assert_eq!(py("print('performance: 1 m')"), OK);
    for call in [
        "$MAD_MULTI_NODE_RUNNER bench.py",
        "torchrun --nproc_per_node=8 bench.py --x",
        "python3 -m torch.distributed.run --nnodes 1 bench.py",
        "python -m bench",
        "./bench.py",
    ] {
        let program = "#!/usr/bin/env python3\nprint('performance: 1 m')";
        assert_eq!(line(&[("s/run.sh", call), ("s/bench.py", program)]), OK, "{call}");
    }
}

#[test]
fn compiled_programs() {
    let rust = "fn main() { println!(\"performance: {:.2} m\", 1.0); }";
    let table = [
        (OK, "rustc -O bench.rs -o prog && ./prog", rust),
        (OK, "D=$(dirname \"$0\")\nrustc -O \"$D/bench.rs\" -o \"$T/prog\"\n\"$T/prog\"", rust),
        (OK, "g++ -O2 bench.rs\n./a.out", rust),
        (NOTHING, "rustc bench.rs -o prog", rust),
        (NOTHING, "rustc bench.rs\n./bench", "// \"performance: 1 m\"\nfn main() {}"),
    ];
    for (expected, script, source) in table {
        let script = script.replace("g++ -O2 bench.rs", "g++ -O2 bench.cpp");
        let files =
            [("s/run.sh", script.as_str()), ("s/bench.rs", source), ("s/bench.cpp", source)];
        assert_eq!(line(&files), expected, "{script}");
    }
}

#[test]
fn csv_files() {
    let table = [
        (OK, "echo model,performance,metric > perf_a.csv"),
        (OK, "echo x >> \"$MAD_OUTPUT_CSV\""),
        (OK, "python3 - <<'EOF'\nimport os\nopen(os.environ['MAD_OUTPUT_CSV'], 'w')\nEOF"),
        (OK, "echo x > perf_${MODEL}.csv"),
        (OK, "OUT=perf_a.csv\npython3 b.py --out $OUT"),
        ("MAD042", "echo x > perf_b.csv"),
        ("MAD042", "echo performance: 1 m"),
        ("MAD042", "# perf_a.csv\necho hi"),
        (CANNOT_TELL, "$CMD"),
    ];
    for (expected, script) in table {
        let files = [("s/run.sh", script), ("s/b.py", "x = 1")];
        let tree = Tree::entry("\"multiple_results\": \"perf_a.csv\"", &files);
        assert_eq!(tree.ids().join(" "), expected, "{script}");
    }
    let keys = "\"multiple_results\": \"perf_a.csv\", \"args\": \"--output perf_a.csv\"";
    assert!(
        Tree::entry(keys, &[("s/run.sh", "python3 b.py \"$@\""), ("s/b.py", "x = 1")])
            .ids()
            .is_empty()
    );
}

#[test]
fn self_managed_entries() {
    let table = [
        (OK, "sbatch job.sh", "echo x > perf.csv"),
        ("MAD045", "sbatch job.sh", "echo x"),
        ("MAD045", "$X", ""),
    ];
    for (expected, script, job) in table {
        let keys = "\"scripts\": \"s/run.slurm\", \"distributed\": {\"launcher\": \"slurm_multi\"}";
        let tree = Tree::entry(keys, &[("s/run.slurm", script), ("s/job.sh", job)]);
        assert_eq!(tree.ids().join(" "), expected, "{script}");
    }
}
