//! What a person types: `run`, and commands that read the store and print what one wants
//! to see. Output goes to standard output, everything else to standard error, and a reader that
//! has seen enough (`| head`) is no failure.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use radar_link::logging::LoggingError;
use radar_link::mqtt::SetupError;
use radar_link::settings::{SettingsError, help_table};
use radar_link::tasks::shutdown_signal;
use radar_link::time::Clock;
use radar_wire::topic::AgentId;
use tracing::{error, info};

use crate::accounts::plugin::PluginError;
use crate::instance::{InstanceError, is_running};
use crate::relay::UpstreamIdError;
use crate::settings::{Settings, table};
use crate::upstream::UpstreamError;
use crate::{text, when};

mod add_agent;
mod agents;
mod api_key;
mod audit;
mod command;
mod events;
mod health;
mod init_broker;
mod key;
mod purge;
mod remove_agent;
mod sign;

/// Asked to stop, or all printed.
const DONE: u8 = 0;
/// Something failed.
const FAILED: u8 = 1;
/// What was typed or set cannot be used.
const UNUSABLE: u8 = 64;

/// Keeps a fleet's state and history, and relays it to a Registry Radar server
#[derive(Debug, Parser)]
#[command(name = "radar-bridge", disable_help_subcommand = true)]
struct Arguments {
    /// A TOML file with settings; the environment wins over it
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bridge (what happens without a command)
    Run,
    /// Show all agents: presence, last heard, containers, gaps, state at the server
    Agents {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show what happened on a host, by the engine's time
    Events {
        /// The agent's id
        agent: AgentId,
        /// Only what happened since a time (2026-11-21T10:00:00Z) or a duration ago (2h)
        #[arg(long, value_name = "TIME|DURATION")]
        since: Option<when::Since>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        /// Go on with what happens from now on
        #[arg(long, short)]
        follow: bool,
    },
    /// Forget an agent that is gone for good: its retained messages and its history
    Purge {
        /// The agent's id
        agent: AgentId,
        /// Even if the agent is online
        #[arg(long)]
        force: bool,
    },
    /// Have an agent do something, through the bridge that runs, and wait for how it ends
    #[command(name = "command")]
    Order(command::Arguments),
    /// Show who had which agent do what, when, and how it ended
    Audit {
        /// The agent's id; without it all agents
        agent: Option<AgentId>,
        /// Only what was asked since a time (2026-11-21T10:00:00Z) or a duration ago (2h)
        #[arg(long, value_name = "TIME|DURATION")]
        since: Option<when::Since>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ask the bridge that runs here whether it is well, at BRIDGE_LISTEN: exits with 0 or 1
    Health,
    /// Make, list and take back the keys of the HTTP API
    ApiKey {
        #[command(subcommand)]
        action: api_key::Action,
    },
    /// Print the public key that agents verify commands with; makes the key if there is none
    Key,
    /// Make the first accounts of a broker: one that makes the others, and the bridge's
    InitBroker(init_broker::Arguments),
    /// Make an agent's account at the broker, and print all that its host needs
    AddAgent(add_agent::Arguments),
    /// Remove an agent that is gone for good: its account at the broker, its retained messages and its history
    RemoveAgent(remove_agent::Arguments),
    /// Sign a new version of the agent, for hosts that update it as a program
    Sign(sign::Arguments),
}

/// Performs what the arguments say and tells how it went: 0 done, 64 unusable arguments or
/// settings, 1 anything else; of `command` also 2 refused, 3 failed, 4 nobody knows.
pub fn main(arguments: impl IntoIterator<Item = OsString>, env: impl Fn(&str) -> Option<String>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too.
            let code = if error.use_stderr() { UNUSABLE } else { DONE };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let settings = match Settings::load(arguments.config.as_deref(), env) {
        Ok(settings) => settings,
        Err(error) => return ExitCode::from(complain(&error.into())),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let now = Clock::start().now().wall;
    let command = arguments.command.unwrap_or(Command::Run);
    let only_shows = command.only_shows();
    let result = match command {
        Command::Run => return run(settings),
        Command::Agents { json } => {
            note_age(&settings);
            agents::show(&settings.database(), json, now, &mut out).map(|()| DONE)
        }
        Command::Events { agent, since, json, follow } => {
            let since = since.map(|since| since.from(now));
            events::show(&settings.database(), &agent, since, json, follow, &mut out).map(|()| DONE)
        }
        Command::Order(order) => command::ask(&settings.data_dir, &order, &mut out, &mut io::stderr()),
        Command::Audit { agent, since, json } => {
            note_age(&settings);
            let since = since.map(|since| since.from(now));
            audit::show(&settings.database(), agent.as_ref(), since, json, &mut out).map(|()| DONE)
        }
        Command::Health => health::ask(settings.listen, &mut out).map(|well| if well { DONE } else { FAILED }),
        Command::ApiKey { action } => api_key::perform(&settings.data_dir, &action, now, &mut out).map(|()| DONE),
        Command::Key => key::show(&settings.data_dir, &mut out).map(|()| DONE),
        Command::Sign(sign) => sign::show(&settings.data_dir, &sign, &mut out, &mut io::stderr()).map(|()| DONE),
        Command::InitBroker(init) => in_runtime(init_broker::init(&settings, &init, &mut out)).map(|()| DONE),
        Command::AddAgent(add) => {
            in_runtime(add_agent::add(&settings, &add, &mut out, &mut io::stderr())).map(|()| DONE)
        }
        Command::RemoveAgent(remove) => in_runtime(remove_agent::remove(&settings, &remove, &mut out)).map(|()| DONE),
        Command::Purge { agent, force } => {
            let online = if force { purge::Online::Purged } else { purge::Online::Refused };
            in_runtime(purge::purge(&settings, &agent, online, &mut out)).map(|()| DONE)
        }
    };
    let result = result.and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => ExitCode::from(code),
        // The reader has seen enough.
        Err(error) if only_shows && is_closed(&error) => ExitCode::from(DONE),
        Err(error) => ExitCode::from(complain(&error)),
    }
}

impl Command {
    /// Whether it can be asked again for the same: then what nobody reads is no loss.
    fn only_shows(&self) -> bool {
        matches!(
            self,
            Self::Agents { .. }
                | Self::Events { .. }
                | Self::Audit { .. }
                | Self::Health
                | Self::Key
                | Self::ApiKey { action: api_key::Action::List { .. } }
        )
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let command = Arguments::command().version(crate::version()).after_help(format!(
        "Settings, in the environment or in the file (there in lower case):\n{}",
        help_table(&table())
    ));
    let matches = command.try_get_matches_from(arguments)?;
    Arguments::from_arg_matches(&matches)
}

fn run(settings: Settings) -> ExitCode {
    let started = radar_link::logging::start(settings.log_format, &settings.log_level, true)
        .context("BRIDGE_LOG_LEVEL cannot be used");
    if let Err(error) = started {
        return ExitCode::from(complain(&error));
    }
    match in_runtime(async {
        let signal = shutdown_signal().context("cannot listen for signals")?;
        let asked = async {
            let signal = signal.await;
            info!("stopping: {signal}");
        };
        crate::run(settings, asked).await
    }) {
        Ok(()) => ExitCode::from(DONE),
        Err(failure) => {
            error!("{failure:#}");
            ExitCode::from(code(&failure))
        }
    }
}

fn in_runtime<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(future)
}

/// What is shown is as old as the bridge's last run when it does not run.
fn note_age(settings: &Settings) {
    if settings.database().exists() && is_running(&settings.data_dir) == Some(false) {
        let directory = settings.data_dir.display();
        let _ = writeln!(io::stderr(), "no bridge runs with {directory}: this is what the last one knew");
    }
}

/// Prints a failure.
fn complain(error: &anyhow::Error) -> u8 {
    let _ = writeln!(io::stderr(), "radar-bridge: {error:#}");
    code(error)
}

/// Whether the reader of the output has gone.
fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn code(error: &anyhow::Error) -> u8 {
    let directory = error.downcast_ref::<InstanceError>();
    let unusable = matches!(directory, Some(InstanceError::Access { .. }))
        || error.downcast_ref::<SettingsError>().is_some()
        || error.downcast_ref::<SetupError>().is_some()
        || matches!(error.downcast_ref::<PluginError>(), Some(PluginError::Setup(_)))
        || error.downcast_ref::<LoggingError>().is_some()
        || error.downcast_ref::<UpstreamError>().is_some()
        || error.downcast_ref::<UpstreamIdError>().is_some()
        || error.downcast_ref::<command::UsageError>().is_some();
    if unusable { UNUSABLE } else { FAILED }
}

#[cfg(test)]
mod tests;
