#!/usr/bin/env bash
# Process 1 of the container: runs the steps it is given, passes signals on, and says how
# long the model ran. What it runs arrives as arguments, never as text to be evaluated.
#
#   driver.sh TIMES [pre DIR N WORD…]… [post DIR N WORD…]… [wrap TEXT] run WORD…
#
# TEXT of `wrap` is the user's own shell text (`time`, `numactl -N0`, `ulimit -c 0 &&`);
# the model's command follows it.

# The engine carries the two outputs separately; in one they stay in order.
exec 2>&1
# Each step in a process group of its own, with the signals a script expects to have.
set -m

times=$1
shift
# Started again: somebody wants to look around.
if [[ -s $times ]]; then
    trap 'exit 0' TERM
    sleep infinity &
    wait
    exit
fi
echo >"$times"

pre=() post=() wrap=""
while [[ $1 != run ]]; do
    case $1 in
    wrap)
        wrap=$2
        shift 2
        ;;
    pre)
        pre+=("${@:2:2+$3}")
        shift $((3 + $3))
        ;;
    post)
        post+=("${@:2:2+$3}")
        shift $((3 + $3))
        ;;
    *)
        echo "mad: driver.sh does not know $1" >&2
        exit 125
        ;;
    esac
done
shift

stopped="" running=""
# As process 1 it reaches all of its container. Otherwise (`--pid=host`, `--init`) that would
# be more than what is ours.
pass_on() {
    stopped=yes
    if (($$ == 1)); then
        kill -TERM -1 2>/dev/null
    elif [[ -n $running ]]; then
        kill -TERM -- "-$running" 2>/dev/null
    fi
}
trap pass_on TERM INT HUP

# step WORD…: runs it and returns its status, whatever signals arrive meanwhile.
step() {
    local status pid
    "$@" &
    pid=$!
    running=$pid
    while :; do
        wait "$pid"
        status=$?
        if ((status <= 128)) || ! kill -0 "$pid" 2>/dev/null; then
            running=""
            return "$status"
        fi
        # The shell would tell of a job that a signal ended, in words of its own.
    done 2>/dev/null
}

# all NAME [DIR N WORD…]…: runs the steps in order; the first that fails ends it all.
all() {
    local name=$1 status
    shift
    while (($# > 0)); do
        [[ -z $stopped ]] || exit 143
        mkdir -p "$1" && cd "$1" || exit 125
        step "${@:3:$2}"
        status=$?
        if ((status != 0)); then
            echo "mad: the $name-script \`${*:3:$2}\` failed with exit status $status" >&2
            exit "$status"
        fi
        shift $((2 + $2))
    done
}

now() {
    local time=${EPOCHREALTIME:-$(date +%s.%N)}
    echo "${time/,/.}" >>"$times"
}

# What the image says of its ROCm counts, not what the host has.
if [[ ${MAD_GPU_VENDOR:-} == AMD ]]; then
    export ROCM_PATH=${ROCM_PATH:-${ROCM_HOME:-/opt/rocm}}
fi
work=$PWD
all pre "${pre[@]}"
cd "$work" || exit 125
[[ -z $stopped ]] || exit 143
now
if [[ -n $wrap ]]; then
    step bash -c "$wrap \"\$@\"" mad "$@"
else
    step "$@"
fi
status=$?
now
((status == 0)) || exit "$status"
all post "${post[@]}"
