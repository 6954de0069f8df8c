#!/usr/bin/env bash
# A Slurm cluster of one's own, for tests on a machine where there is none: a controller and NODES
# nodes (4), all on this machine, each with 8 CPUs and 2 GPUs that are none. Needs root and
# Debian's slurm-wlm and munge. Everything it has is below DIR.
#
#   export SLURM_CONF=$(ci/slurm.sh start DIR [NODES])
#   ci/slurm.sh controller DIR stop|start    the controller alone
#   ci/slurm.sh stop DIR
set -euo pipefail

usage() {
    sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0" >&2
    exit 4
}

[[ $# -ge 2 ]] || usage
action=$1
dir=$2
nodes=${3:-4}

# end FILE…: ends the processes whose ids are in the files, and waits for it.
end() {
    local file pid
    for file in "$@"; do
        pid=$(cat "$file" 2>/dev/null || true)
        [[ -n $pid ]] || continue
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || continue 2
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    done
}

write_configuration() {
    # Ports of one's own, so that two clusters can stand beside each other.
    local base=20000
    until mkdir "/tmp/mad-slurm-$base" 2>/dev/null; do
        base=$((base + 20))
        if [[ $base -ge 32000 ]]; then
            echo "error: too many clusters: see /tmp/mad-slurm-*" >&2
            exit 1
        fi
    done
    echo "$base" >"$dir/ports"
    cat >"$dir/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=localhost
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.sock
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$base
StateSaveLocation=$dir/state
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdSpoolDir=$dir/spool/%n
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmdLogFile=$dir/log/slurmd-%n.log
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
ReturnToService=2
SlurmdTimeout=10
KillWait=5
GresTypes=gpu
NodeName=n[1-$nodes] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[$((base + 1))-$((base + nodes))] CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    echo "NodeName=n[1-$nodes] Name=gpu File=$dir/dev/gpu[0-1]" >"$dir/gres.conf"
    echo "CgroupAutomount=no" >"$dir/cgroup.conf"
}

case $action in
start)
    [[ $nodes =~ ^([1-9]|1[0-9])$ ]] || usage
    mkdir -p "$dir"
    dir=$(realpath "$dir")
    mkdir -p "$dir"/{state,spool,log,run,dev}
    for i in 0 1; do
        # The device numbers of /dev/null: Slurm wants a device, and nobody opens it.
        [[ -e $dir/dev/gpu$i ]] || mknod "$dir/dev/gpu$i" c 1 3
    done
    head -c 1024 /dev/urandom >"$dir/munge.key"
    chmod 600 "$dir/munge.key"
    write_configuration
    export SLURM_CONF=$dir/slurm.conf
    {
        munged --key-file="$dir/munge.key" --socket="$dir/run/munge.sock" \
            --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" \
            --seed-file="$dir/munge.seed"
        slurmctld
        for i in $(seq "$nodes"); do
            mkdir -p "$dir/spool/n$i"
            slurmd -N "n$i"
        done
    } >"$dir/log/start.log" 2>&1 </dev/null
    for _ in $(seq 300); do
        idle=$(sinfo -h -t idle -o %D 2>/dev/null || true)
        if [[ $idle == "$nodes" ]]; then
            echo "$SLURM_CONF"
            exit 0
        fi
        sleep 0.1
    done
    echo "error: the nodes did not come up: $(tail -n 1 "$dir/log/slurmctld.log")" >&2
    "$0" stop "$dir"
    exit 1
    ;;
controller)
    dir=$(realpath "$dir")
    export SLURM_CONF=$dir/slurm.conf
    case ${3:-} in
    stop) end "$dir/run/slurmctld.pid" ;;
    start) slurmctld >>"$dir/log/start.log" 2>&1 </dev/null ;;
    *) usage ;;
    esac
    ;;
stop)
    [[ -d $dir/run ]] || exit 0
    dir=$(realpath "$dir")
    # Jobs first: a node leaves its scripts running.
    SLURM_CONF=$dir/slurm.conf timeout 10 scancel --full --signal=KILL --user=root 2>/dev/null || true
    end "$dir"/run/slurmd-*.pid "$dir/run/slurmctld.pid" "$dir/run/munged.pid"
    rm -rf "/tmp/mad-slurm-$(<"$dir/ports")" "$dir"
    ;;
*) usage ;;
esac
