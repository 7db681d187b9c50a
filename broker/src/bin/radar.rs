//! The program `radar`: what was typed, what is set, and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    radar_link::mqtt::tls::install_provider();
    radar_bridge::radar::main(std::env::args_os(), variable)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
