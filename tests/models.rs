//! The repository's own catalog as test cases.

fn main() -> std::process::ExitCode {
    mad_harness::harness::main()
}
