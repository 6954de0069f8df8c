#!/usr/bin/env bash
# A Docker daemon of one's own, for tests on a machine where none runs. Needs root and
# Debian's docker.io (or any other dockerd). Everything it has is below DIR; it makes no
# bridge and no firewall rules, so that containers have no network, and nothing is left of it.
#
#   export DOCKER_HOST=$(ci/dockerd.sh start DIR [OPTION OF dockerd]…)
#   ci/dockerd.sh stop DIR
set -euo pipefail

usage() {
    sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0" >&2
    exit 4
}

[[ $# -ge 2 ]] || usage
action=$1
dir=$2
shift 2

case $action in
start)
    mkdir -p "$dir"
    dir=$(realpath "$dir")
    # Paths of sockets have a limit of some 100 characters, which containerd's use up. After
    # a stop by other means it comes back where it was.
    run=$(cat "$dir/run" 2>/dev/null || mktemp -d /tmp/dockerd.XXXXXX)
    chmod 755 "$run"
    echo "$run" >"$dir/run"
    host=unix://$run/docker.sock
    setsid dockerd --host "$host" --data-root "$dir/data" --exec-root "$run/exec" \
        --pidfile "$run/pid" --bridge none --iptables=false --ip6tables=false "$@" \
        >"$dir/dockerd.log" 2>&1 </dev/null &
    pid=$!
    until DOCKER_HOST=$host docker version >/dev/null 2>&1; do
        if ! kill -0 "$pid" 2>/dev/null; then
            echo "error: dockerd did not start: $(tail -n 1 "$dir/dockerd.log")" >&2
            "$0" stop "$dir"
            exit 1
        fi
        sleep 0.1
    done
    echo "$host"
    ;;
stop)
    [[ -e $dir/run ]] || exit 0
    run=$(<"$dir/run")
    pid=$(cat "$run/pid" 2>/dev/null || true)
    if [[ -n $pid ]] && kill "$pid" 2>/dev/null; then
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    fi
    # What dockerd leaves mounted: the namespace of the host's network, and, when it could
    # not start, its data on itself.
    umount "$run/exec/netns/default" "$dir/data" 2>/dev/null || true
    rm -rf "$run" "$dir"
    ;;
*) usage ;;
esac
