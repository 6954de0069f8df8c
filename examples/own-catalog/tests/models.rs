//! The entries of `models.json` as test cases.

fn main() -> std::process::ExitCode {
    mad_harness::harness::main()
}
