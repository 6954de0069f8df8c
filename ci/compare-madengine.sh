#!/usr/bin/env bash
# Runs one catalog through madengine and through mad, on the same Docker daemon, and lists
# where they differ.
#
# usage: ci/compare-madengine.sh                        the catalog of tests/fixtures/compat
#        ci/compare-madengine.sh CATALOG [CONTEXT.json]  your own, on a host with its GPUs
#
# A difference on purpose has an id, which docs/compat.md explains; expected-differences.csv
# of the catalog says which entry differs in what, and why. Anything else is UNEXPLAINED.
#
# exit status: 0 all explained, or skipped with a message; 1 something is not; 2 neither ran.
# MADENGINE and MAD name the two programs, where they are not `madengine` and `mad` of this
# repository's release build. KEEP=1 keeps the directory of both runs.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
madengine=${MADENGINE:-madengine}

skip() {
    echo "compare-madengine: skipped: $1"
    exit 0
}
command -v "$madengine" >/dev/null || skip "no madengine on PATH (pip install git+https://github.com/ROCm/madengine)"
docker info >/dev/null 2>&1 || skip "no Docker daemon answers"

mad=${MAD:-}
if [ -z "$mad" ]; then
    cargo build --quiet --release --manifest-path "$repository/Cargo.toml" --bin mad
    mad=$repository/target/release/mad
fi

dir=$(mktemp -d)
made_kfd=
finish() {
    [ -z "$made_kfd" ] || rm -f /dev/kfd
    if [ -n "${KEEP:-}" ]; then echo "kept: $dir"; else rm -rf "$dir"; fi
}
trap finish EXIT

if [ $# -eq 0 ]; then
    "$repository/tests/fixtures/compat/setup.sh" "$dir/lab"
    catalog=$dir/lab/catalog
    # Entries for the rows of the tables, and the differences that they say.
    COMPAT_CATALOG=$catalog cargo test --quiet --manifest-path "$repository/Cargo.toml" --test compat
    tags=compat,row
    context=(--additional-context-file "$dir/lab/context.json")
    if [ ! -e /dev/kfd ]; then
        [ "$(id -u)" -eq 0 ] || skip "no /dev/kfd, and only root can make a stand-in"
        mknod /dev/kfd c 1 3
        made_kfd=yes
    fi
else
    catalog=$(cd "$1" && pwd)
    tags=all
    context=()
    [ $# -lt 2 ] || context=(--additional-context-file "$(realpath "$2")")
fi

# madengine writes into the catalog, so each has its own copy.
for who in madengine mad; do
    mkdir "$dir/$who"
    cp -a "$catalog" "$dir/$who/catalog"
done

status=0
cd "$dir/madengine/catalog"
"$madengine" run --tags "$tags" --live-output "${context[@]}" --output "$dir/madengine.csv" \
    >"$dir/madengine.log" 2>&1 || status=$?
cd "$dir/mad"
ours=0
"$mad" --root "$dir/mad/catalog" benchmark --tags "$tags" --engine "${MAD_ENGINE:-container}" \
    "${context[@]}" --output "$dir/mad.csv" >"$dir/mad.log" 2>&1 || ours=$?
for csv in madengine mad; do
    [ -s "$dir/$csv.csv" ] || {
        echo "compare-madengine: $csv recorded nothing:" >&2
        tail -n 20 "$dir/$csv.log" >&2
        exit 2
    }
done
echo "exit status: madengine $status, mad $ours"

names=$("$mad" --root "$catalog" discover --json --tags "$tags")
NAMES=$names python3 "$repository/ci/compare_madengine.py" "$dir/madengine.csv" "$dir/mad.csv" \
    "$catalog/expected-differences.csv" "$repository/docs/compat.md"
