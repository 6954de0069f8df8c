//! The least that a test target on libtest-mimic can be: one case that does nothing.

use libtest_mimic::{Arguments, Trial};

fn main() -> std::process::ExitCode {
    let trial = Trial::test("one::case", || Ok(()));
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}
