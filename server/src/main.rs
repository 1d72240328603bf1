//! The `runcode-server` binary.

fn main() -> std::process::ExitCode {
    runcode_server::main()
}
