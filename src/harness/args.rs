//! The test target's arguments: libtest's, and those of a benchmark.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use libtest_mimic::Arguments;

use super::{Case, USAGE};
use crate::options::RunOptions;

/// Arguments of the test target. Each benchmark option is also an environment
/// variable, since `cargo test -- --x` reaches every test target of a package.
#[derive(Parser, Debug)]
#[command(
    name = "models",
    disable_version_flag = true,
    override_usage = "cargo test --test models -- [OPTIONS] [FILTER]..."
)]
pub(super) struct HarnessArgs {
    #[command(flatten)]
    pub(super) libtest: Arguments,

    /// More filters: a case runs if its name contains one of them
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,

    #[command(flatten)]
    pub(super) options: RunOptions,
}

impl HarnessArgs {
    /// Reads arguments and the environment. On an error it is printed and the exit
    /// status returned.
    pub(super) fn parse_from(
        args: impl Iterator<Item = OsString>,
    ) -> Result<HarnessArgs, ExitCode> {
        let mut args = crate::options::parse::<HarnessArgs>(args).map_err(|e| {
            let _ = e.print();
            if e.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
        })?;
        if !args.filters.is_empty() {
            // libtest-mimic knows one filter; of several, all are ours.
            args.filters.extend(args.libtest.filter.take());
        }
        if args.libtest.test_threads.is_none() {
            let threads = std::env::var("RUST_TEST_THREADS").ok();
            args.libtest.test_threads = threads.and_then(|n| n.parse().ok()).filter(|n| *n > 0);
        }
        Ok(args)
    }

    /// Whether one of several filters lets `name` through.
    pub(super) fn matches(&self, name: &str) -> bool {
        let hit = |filter: &String| match self.libtest.exact {
            true => name == filter,
            false => name.contains(filter.as_str()),
        };
        self.filters.is_empty() || self.filters.iter().any(hit)
    }

    /// The one entry whose case `--exact` names.
    pub(super) fn exact_entry(&self) -> Option<&str> {
        let filter = self.libtest.filter.as_deref().filter(|_| self.libtest.exact)?;
        let (_, entry) = filter.split_once("::")?;
        self.filters.is_empty().then_some(entry)
    }

    /// Whether `case` is listed, by libtest's rules.
    pub(super) fn selects(&self, case: &Case) -> bool {
        let hit = |filter: &String| match self.libtest.exact {
            true => case.name == *filter,
            false => case.name.contains(filter.as_str()),
        };
        self.matches(&case.name)
            && self.libtest.filter.as_ref().is_none_or(hit)
            && !self.libtest.skip.iter().any(hit)
            && (!self.libtest.ignored || case.ignored)
    }
}
