//! The `runcode` binary.

fn main() -> std::process::ExitCode {
    runcode::main()
}
