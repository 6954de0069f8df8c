//! `mad`: the command line of mad-harness.

use std::process::ExitCode;

fn main() -> ExitCode {
    mad_harness::cli::main()
}
