//! What stands in for the S3 client in a build without the feature `s3`.

use std::path::Path;

use anyhow::{Result, bail};

use super::access::Access;
use super::{Fetched, Remote};

const NOT_BUILT: &str = "this build has no S3 client: build it with the cargo feature `s3` (`cargo build --features s3`)";

/// Whether there is an S3 client, or what to do about it.
pub(super) fn is_built() -> Result<(), String> {
    Err(NOT_BUILT.to_owned())
}

/// Nobody can be asked.
pub(super) fn answers(_: &Access) -> Result<(), String> {
    is_built()
}

/// Nothing can be fetched.
pub(super) fn sync(
    _: &str,
    _: &Remote,
    _: &Path,
    _: &(dyn Fn(&str) + Sync),
    _: &(dyn Fn() -> bool + Sync),
) -> Result<Fetched> {
    bail!(NOT_BUILT)
}
