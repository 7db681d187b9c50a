//! Asks the bridge that runs to have an agent do something, and tells how it goes until it has ended.

use std::io::{BufRead as _, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use radar_link::settings::Span;
use radar_link::time::utc;
use radar_wire::command::Command;
use radar_wire::topic::AgentId;

use super::text::{lines, plain};
use super::{DONE, FAILED};
use crate::commanding::{PATIENCE, State, VALID, VALID_MOST, patience};
use crate::control::{Reply, Request, socket};

/// The agent, or the bridge, does not do it.
const REFUSED: u8 = 2;
/// The agent could not do it.
const NOT_DONE: u8 = 3;
/// Nobody knows.
const UNKNOWN: u8 = 4;
/// How much later than it should the bridge may tell the end.
const SLACK: Duration = Duration::from_secs(30);

/// What is typed.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent's id
    agent: AgentId,
    /// What to do
    action: Action,
    /// The container: its name, its id, or the beginning of its id
    container: Option<String>,
    /// Seconds until a container that stops is killed (stop, restart)
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// The signal's name or number (kill)
    #[arg(long)]
    signal: Option<String>,
    /// The new name (rename)
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// Also while it runs (remove)
    #[arg(long)]
    force: bool,
    /// With its anonymous volumes (remove)
    #[arg(long)]
    volumes: bool,
    /// How long the agent may take to get it: 1s to 5m
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    valid: Span,
    /// Who asks, for the audit; beside the user id, which is always there
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Unpause,
    Rename,
    Remove,
    Inspect,
    Top,
    Images,
    Networks,
    Volumes,
}

/// What was typed does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UsageError {
    #[error("name the container: radar-bridge command <agent> <action> <container>")]
    NoContainer,
    #[error("{0} takes no container")]
    Container(&'static str),
    #[error("{0} does not belong to {1}")]
    Option(&'static str, &'static str),
    #[error("rename needs the new name: --to NAME")]
    NoName,
    #[error("--valid is 1s at least and {} s at most", VALID_MOST.as_secs())]
    Valid,
}

impl Arguments {
    fn command(&self) -> Result<Command, UsageError> {
        let container = || self.container.as_deref().filter(|it| !it.is_empty()).ok_or(UsageError::NoContainer);
        let text = |text: &Option<String>| text.as_deref().map(Into::into);
        let command = match self.action {
            Action::Start => Command::Start { container: container()?.into() },
            Action::Stop => Command::Stop { container: container()?.into(), timeout: self.timeout },
            Action::Restart => Command::Restart { container: container()?.into(), timeout: self.timeout },
            Action::Kill => Command::Kill { container: container()?.into(), signal: text(&self.signal) },
            Action::Pause => Command::Pause { container: container()?.into() },
            Action::Unpause => Command::Unpause { container: container()?.into() },
            Action::Rename => {
                Command::Rename { container: container()?.into(), to: text(&self.to).ok_or(UsageError::NoName)? }
            }
            Action::Remove => {
                Command::Remove { container: container()?.into(), force: self.force, volumes: self.volumes }
            }
            Action::Inspect => Command::Inspect { container: container()?.into() },
            Action::Top => Command::Top { container: container()?.into() },
            Action::Images => Command::Images,
            Action::Networks => Command::Networks,
            Action::Volumes => Command::Volumes,
        };
        let word = command.word();
        if self.container.is_some() && command.container().is_none() {
            return Err(UsageError::Container(word));
        }
        for (option, given, fits) in [
            ("--timeout", self.timeout.is_some(), matches!(self.action, Action::Stop | Action::Restart)),
            ("--signal", self.signal.is_some(), self.action == Action::Kill),
            ("--to", self.to.is_some(), self.action == Action::Rename),
            ("--force", self.force, self.action == Action::Remove),
            ("--volumes", self.volumes, self.action == Action::Remove),
        ] {
            if given && !fits {
                return Err(UsageError::Option(option, word));
            }
        }
        Ok(command)
    }

    fn request(&self) -> Result<Request, UsageError> {
        let valid = self.valid.0;
        if valid.as_secs() == 0 || valid > VALID_MOST {
            return Err(UsageError::Valid);
        }
        let (agent, name) = (self.agent.clone(), self.name.clone());
        Ok(Request { agent, cmd: self.command()?, valid: valid.as_secs(), name })
    }
}

/// How long a bridge that works may say nothing.
fn longest_silence(request: &Request) -> Duration {
    let valid = VALID.max(Duration::from_secs(request.valid));
    valid + patience::silence(&request.cmd).unwrap_or_default().max(PATIENCE) + SLACK
}

/// Asks, and prints the answers as they come; the exit code by the last of them.
pub(super) fn ask(
    data_dir: &Path,
    arguments: &Arguments,
    out: &mut impl Write,
    errors: &mut impl Write,
) -> anyhow::Result<u8> {
    let request = arguments.request()?;
    let path = socket(data_dir);
    let mut stream = UnixStream::connect(&path).with_context(|| {
        format!("no bridge answers at {}; start it, and run this as its user and with its DATA_DIR", path.display())
    })?;
    stream.set_read_timeout(Some(longest_silence(&request)))?;
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line).context("the bridge takes no request")?;
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        let reply = serde_json::from_str(&line).context("the bridge gives an answer of another version")?;
        if arguments.json {
            writeln!(out, "{line}")?;
        }
        match reply {
            Reply::Issued { jti } if !arguments.json => writeln!(out, "command {}", plain(&jti))?,
            Reply::Issued { .. } | Reply::Forgotten { .. } => {}
            Reply::Refused { error } => {
                writeln!(errors, "radar-bridge: {}", lines(&error))?;
                return Ok(REFUSED);
            }
            Reply::News(news) => {
                if !arguments.json {
                    let reason = news.reason.as_deref().map(|it| format!("  {}", lines(it))).unwrap_or_default();
                    writeln!(out, "{}  {}{reason}", utc::text(news.at), news.state.as_str())?;
                    if let Some(result) = &news.result {
                        writeln!(out, "{}", lines(&serde_json::to_string_pretty(result)?))?;
                    }
                }
                if news.state.is_final() {
                    return Ok(code(news.state));
                }
            }
        }
        out.flush()?;
    }
    let ends = "the bridge tells nothing more of it; `radar-bridge audit` shows how it ends";
    writeln!(errors, "radar-bridge: {ends}")?;
    Ok(UNKNOWN)
}

fn code(state: State) -> u8 {
    match state {
        State::Succeeded => DONE,
        State::Refused => REFUSED,
        State::Failed => NOT_DONE,
        State::Unknown => UNKNOWN,
        State::Issued | State::Accepted | State::Progress => FAILED,
    }
}

#[cfg(test)]
mod tests;
