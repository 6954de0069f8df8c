# shellcheck shell=bash
# Keeps compiled benchmark programs, so that only the first run pays for rustc.
# A script directory is copied on its own before it runs, so every directory that
# needs this file carries the same copy.
#
#   cache_fetch NAME FLAG...   copies the program NAME here if this very source,
#                              compiler, set of flags and CPU built one before
#   cache_store                puts NAME, just built here, into the cache
#
# Every failure of the cache is harmless: the caller builds in its own directory.

_cache_entry=""
_cache_name=""

_cache_hash() {
    if command -v sha256sum >/dev/null; then
        sha256sum
    else
        shasum -a 256
    fi
}

cache_fetch() {
    _cache_name=$1
    shift
    local dir key
    if [[ -n ${MAD_CACHE_DIR:-} ]]; then
        dir=$MAD_CACHE_DIR
    elif [[ -n ${XDG_CACHE_HOME:-} ]]; then
        dir=$XDG_CACHE_HOME/mad-harness
    elif [[ -n ${HOME:-} ]]; then
        dir=$HOME/.cache/mad-harness
    else
        return 1
    fi
    # The features that "native" stands for are part of the key: a home directory
    # can be mounted on machines with different CPUs.
    key=$({
        rustc -vV
        rustc --print cfg "$@"
        printf '%s\n' "$@"
        cat -- "$_cache_name.rs"
    } 2>/dev/null | _cache_hash 2>/dev/null) || return 1
    key=${key%% *}
    [[ ${#key} -eq 64 ]] || return 1
    mkdir -p -- "$dir" 2>/dev/null || return 1
    # Never run a program that somebody else could have put there.
    [[ -O $dir ]] || return 1
    _cache_entry=$dir/$_cache_name-$key
    [[ -f $_cache_entry && -x $_cache_entry && -O $_cache_entry ]] || return 1
    cp -- "$_cache_entry" "$_cache_name"
}

cache_store() {
    [[ -n $_cache_entry ]] || return 0
    local staged
    staged=$(mktemp "$_cache_entry.XXXXXX" 2>/dev/null) || return 0
    if cp -- "$_cache_name" "$staged" 2>/dev/null && chmod 700 "$staged" &&
        mv -f -- "$staged" "$_cache_entry" 2>/dev/null; then
        return 0
    fi
    rm -f -- "$staged"
}
