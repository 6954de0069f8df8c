//! The environment a script starts from: the same whichever door it is started through.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the harness's own environment is cut down by: variables that steer the harness,
/// and what cargo and nextest set for it. `None` removes the variable.
pub(super) fn corrections() -> Vec<(OsString, Option<OsString>)> {
    let ours = env::vars_os().map(|(name, _)| name).filter(|n| is_ours(&n.to_string_lossy()));
    let mut corrections: Vec<_> = ours.map(|name| (name, None)).collect();
    if env::var_os("CARGO_MANIFEST_DIR").is_some()
        && let Some(paths) = env::var_os(LIBRARY_PATH)
    {
        let kept: Vec<PathBuf> = env::split_paths(&paths).filter(|p| !is_cargos(p)).collect();
        let kept = env::join_paths(kept).ok().filter(|k| !k.is_empty());
        corrections.push((LIBRARY_PATH.into(), kept));
    }
    corrections
}

const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

fn is_ours(name: &str) -> bool {
    crate::options::variables().iter().any(|v| v == name)
        || name == "CARGO"
        || ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "NEXTEST"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Whether cargo put `path` there for the test target: a directory of its build, or the
/// libraries of the toolchain.
fn is_cargos(path: &Path) -> bool {
    // target/debug/deps/models-… → target/debug
    let exe = env::current_exe().unwrap_or_default();
    let build = exe.ancestors().nth(2).filter(|dir| dir.parent().is_some());
    build.is_some_and(|build| path.starts_with(build))
        || path.components().any(|c| c.as_os_str() == "toolchains" || c.as_os_str() == "rustlib")
}
