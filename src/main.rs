//! The program: its log and its exit code.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use radar_agent::arguments::{Asked, Command};
use radar_agent::shell::{End, Role, live};
use radar_agent::takeover::helping;
use radar_agent::{RunError, Settings, health, shell};
use radar_link::{logging, mqtt, tasks};
use tokio::net::unix::pipe;
use tokio::runtime::Runtime;

/// What a wrong configuration exits with.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, text)) => {
            // There may be no log yet, and nothing is left to do when nobody reads this.
            let _ = writeln!(io::stderr(), "radar-agent: {text}");
            ExitCode::from(code)
        }
    }
}

fn start() -> Result<(), (u8, String)> {
    let arguments = match Asked::parse(shell::trial::arguments()).map_err(|error| (USAGE, error))? {
        Asked::Work(arguments) => arguments,
        Asked::Text(text) => {
            let _ = write!(io::stdout(), "{text}");
            return Ok(());
        }
    };
    let settings =
        Settings::load(arguments.config.as_deref(), environment).map_err(|error| (USAGE, error.to_string()))?;
    match arguments.command {
        Command::Health => ask_health(&settings),
        Command::TakeOver => take_over(settings),
        Command::Run => watch(settings, arguments.trial),
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment is read here and handed to the settings")]
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

fn ask_health(settings: &Settings) -> Result<(), (u8, String)> {
    let directory = shell::directory::path(settings.agent.data_dir.as_deref());
    let report = health::ask(directory).map_err(|error| {
        (
            1,
            format!(
                "no agent answers at {}: {error}; see that it runs, and with this DATA_DIR",
                health::socket(directory).display()
            ),
        )
    })?;
    let line = serde_json::to_string(&report).map_err(|error| (1, error.to_string()))?;
    let _ = writeln!(io::stdout(), "{line}");
    if report.ok { Ok(()) } else { Err((1, format!("the broker is {}", report.broker))) }
}

/// What every program needs that does more than ask.
fn prepare(settings: &Settings) -> Result<Runtime, (u8, String)> {
    logging::start(settings.agent.log_format, &settings.agent.agent_log_level, true)
        .map_err(|error| (USAGE, format!("AGENT_LOG_LEVEL: {error}")))?;
    mqtt::tls::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| (1, format!("no runtime: {error}")))
}

fn take_over(settings: Settings) -> Result<(), (u8, String)> {
    let runtime = prepare(&settings)?;
    runtime.block_on(helping::take_over(settings)).map_err(|error| (1, error))
}

fn watch(settings: Settings, trial: bool) -> Result<(), (u8, String)> {
    let runtime = prepare(&settings)?;
    let end = runtime.block_on(async {
        let signal = tasks::shutdown_signal().map_err(|error| (1, format!("no signal handlers: {error}")))?;
        let watcher = trial.then(watcher).transpose().map_err(|error| (USAGE, format!("--trial: {error}")))?;
        let shutdown = async {
            let name = match watcher {
                Some(watcher) => tokio::select! { name = signal => name, name = left(watcher) => name },
                None => signal.await,
            };
            tracing::info!("asked to stop: {name}");
        };
        let role = if trial { Role::Trial } else { Role::Program };
        live(settings, role, shutdown).await.map_err(|error: RunError| (error.exit_code(), error.to_string()))
    })?;
    drop(runtime);
    match end {
        End::Stopped => Ok(()),
        End::Become(program) => {
            let error = std::process::Command::new(&program).args(shell::trial::arguments()).exec();
            Err((1, format!("{} does not start: {error}", program.display())))
        }
    }
}

/// The standard input, whose other end who watches this program holds.
fn watcher() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
}

/// Waits until who watches this program has let go of it.
async fn left(watcher: pipe::Receiver) -> &'static str {
    let mut bytes = [0; 16];
    while watcher.readable().await.is_ok() {
        match watcher.try_read(&mut bytes) {
            Ok(0) => break,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
            _ => {}
        }
    }
    "the trial is over"
}
