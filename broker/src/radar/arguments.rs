//! What can be typed.

use std::ffi::OsString;
use std::num::NonZeroUsize;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use radar_link::settings::Span;
use radar_wire::topic::AgentId;

use stores::{Image, Kind, Network, Volume};

use super::access::AccessArguments;
use super::exit;
use super::target::{Scope, Target};
use crate::when::Since;

pub(super) mod stores;

/// See and manage the containers of all hosts, through the bridge
#[derive(Debug, Parser)]
#[command(name = "radar", disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub access: AccessArguments,
    /// JSON instead of tables: one document, or one object a line where it goes on
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show all agents
    Agents,
    /// Show the containers of all agents, or of one
    Ps(Ps),
    /// Start containers
    Start(Containers),
    /// Stop containers
    Stop(Stop),
    /// Stop and start containers
    Restart(Stop),
    /// Send containers a signal
    Kill(Kill),
    /// Freeze containers
    Pause(Containers),
    /// Let frozen containers go on
    Unpause(Containers),
    /// Give a container another name
    Rename(Rename),
    /// Remove containers
    Rm(Remove),
    /// Show all that the engine knows of a container, without the values of its environment
    Inspect {
        #[arg(value_name = "AGENT/CONTAINER")]
        target: Target,
    },
    /// Show the processes of a container
    Top {
        #[arg(value_name = "AGENT/CONTAINER")]
        target: Target,
    },
    /// Show what a container has written
    Logs(Logs),
    /// Show what containers and their hosts use
    Stats(Stats),
    /// Show the images of a host
    Images { agent: AgentId },
    /// Show the networks of a host
    Networks { agent: AgentId },
    /// Show the volumes of a host
    Volumes { agent: AgentId },
    /// Pull an image
    Pull {
        agent: AgentId,
        /// Its name, with a tag or a digest
        image: String,
        #[command(flatten)]
        acting: Acting,
    },
    /// Remove what nothing uses
    Prune {
        agent: AgentId,
        kind: Kind,
        /// Also images and volumes that have a name
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        acting: Acting,
    },
    /// Manage images
    #[command(subcommand)]
    Image(Image),
    /// Manage networks
    #[command(subcommand)]
    Network(Network),
    /// Manage volumes
    #[command(subcommand)]
    Volume(Volume),
    /// Replace containers by ones of a newer image, and go back where the new one does not work
    Update(Update),
    /// Replace an agent by another version, and go back where that one does not reach the broker
    SelfUpdate(SelfUpdate),
    /// Show what happened, by the engines' time
    Events(Events),
    /// Show who had which agent do what, when, and how it ended
    Audit {
        /// Only of this agent
        #[arg(long)]
        agent: Option<AgentId>,
        /// The last so many
        #[arg(short = 'n', long = "lines", default_value = "100", value_name = "NUMBER")]
        most: NonZeroUsize,
    },
    /// Show how a command goes, until it has ended
    #[command(name = "command")]
    Order {
        /// Its name, as it was printed when it was asked for
        jti: String,
        /// Show only how far it is
        #[arg(long)]
        no_wait: bool,
    },
    /// Print what makes a shell complete this program's arguments
    Completions { shell: Name },
}

/// What is said beside every act.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Acting {
    /// Do not wait for how it ends; `radar command` shows it
    #[arg(long)]
    pub no_wait: bool,
    /// How long the agent may take to get it: 1s to 5m [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = valid)]
    pub valid: Option<Span>,
}

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Only of this agent
    pub agent: Option<AgentId>,
    /// Of all agents, which is so without an agent anyway
    #[arg(long, conflicts_with = "agent")]
    pub all_agents: bool,
    /// Also those that do not run
    #[arg(long, short)]
    pub all: bool,
    /// Only those with this label; each one that is given must fit
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,
    /// Only those in this state (running, paused, exited, …)
    #[arg(long)]
    pub state: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Containers {
    #[arg(required = true, value_name = "AGENT/CONTAINER")]
    pub targets: Vec<Target>,
    #[command(flatten)]
    pub acting: Acting,
}

#[derive(Debug, Args)]
pub(super) struct Stop {
    #[command(flatten)]
    pub containers: Containers,
    /// Seconds until it is killed
    #[arg(long, short, value_name = "SECONDS")]
    pub timeout: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct Kill {
    #[command(flatten)]
    pub containers: Containers,
    /// The signal's name or number [default: SIGKILL]
    #[arg(long, short)]
    pub signal: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Rename {
    #[arg(value_name = "AGENT/CONTAINER")]
    pub target: Target,
    /// The new name
    pub to: String,
    #[command(flatten)]
    pub acting: Acting,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    #[command(flatten)]
    pub containers: Containers,
    /// Also while it runs
    #[arg(long, short)]
    pub force: bool,
    /// With its anonymous volumes
    #[arg(long, short)]
    pub volumes: bool,
}

#[derive(Debug, Args)]
pub(super) struct Logs {
    #[arg(value_name = "AGENT/CONTAINER")]
    pub target: Target,
    /// Go on with what it writes from now on
    #[arg(long, short)]
    pub follow: bool,
    /// The last so many lines
    #[arg(long = "tail", short = 'n', value_name = "LINES")]
    pub tail: Option<u32>,
    /// Not what is older than a time (2026-11-21T10:00:00Z) or a duration ago (2h)
    #[arg(long, value_name = "TIME|DURATION")]
    pub since: Option<Since>,
    /// Not what is newer
    #[arg(long, value_name = "TIME|DURATION")]
    pub until: Option<Since>,
    /// With the engine's time before each line
    #[arg(long, short)]
    pub timestamps: bool,
    /// Only what goes to standard output
    #[arg(long, conflicts_with = "stderr")]
    pub stdout: bool,
    /// Only what goes to standard error
    #[arg(long)]
    pub stderr: bool,
    /// As it is also on a terminal, which obeys what is in it
    #[arg(long)]
    pub raw: bool,
}

#[derive(Debug, Args)]
pub(super) struct Stats {
    /// Only of this agent, or of this container
    #[arg(value_name = "AGENT[/CONTAINER]")]
    pub scope: Option<Scope>,
    /// One sample, and no more
    #[arg(long)]
    pub no_stream: bool,
    /// Seconds between two samples
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub interval: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    #[arg(value_name = "AGENT/CONTAINER", required_unless_present = "all", conflicts_with_all = ["all", "agent", "label"])]
    pub targets: Vec<Target>,
    /// All containers that --agent and --label leave
    #[arg(long, conflicts_with = "image")]
    pub all: bool,
    /// Only on this agent; may be given several times
    #[arg(long, requires = "all")]
    pub agent: Vec<AgentId>,
    /// Only with this label; each one that is given must fit
    #[arg(long, requires = "all", value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,
    /// The image; without it the one that the container was made from, pulled again
    #[arg(long)]
    pub image: Option<String>,
    /// Seconds that the new one has to be healthy
    #[arg(long, value_name = "SECONDS")]
    pub patience: Option<u32>,
    /// How many at a time; the next ones begin when these have all ended
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub in_waves_of: NonZeroUsize,
    /// Begin no wave after one in which a container was not updated
    #[arg(long)]
    pub stop_on_failure: bool,
    /// Show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// How long the agent may take to get it: 1s to 5m [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = valid)]
    pub valid: Option<Span>,
    /// Do not wait for how it ends; `radar command` shows it
    #[arg(long, conflicts_with_all = ["all", "dry_run", "stop_on_failure"])]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct SelfUpdate {
    pub agent: AgentId,
    /// The new image, where the agent runs in a container
    #[arg(long, required_unless_present = "program", conflicts_with_all = ["program", "sha256", "signature"])]
    pub image: Option<String>,
    /// Where the new program is (http:// or https://), where the agent is a program of the host
    #[arg(long, value_name = "URL", requires_all = ["sha256", "signature"])]
    pub program: Option<String>,
    /// The SHA-256 of its bytes
    #[arg(long, requires = "program", value_name = "HEX", value_parser = sha256)]
    pub sha256: Option<String>,
    /// The signature of that by the release key
    #[arg(long, requires = "program", value_name = "BASE64URL")]
    pub signature: Option<String>,
    /// Seconds that the new one has to be online at the broker
    #[arg(long, value_name = "SECONDS")]
    pub patience: Option<u32>,
    #[command(flatten)]
    pub acting: Acting,
}

#[derive(Debug, Args)]
pub(super) struct Events {
    /// Go on with what happens from now on
    #[arg(long, short)]
    pub follow: bool,
    /// Only of this agent
    #[arg(long)]
    pub agent: Option<AgentId>,
    /// Only of this container: its name, or its id
    #[arg(long)]
    pub container: Option<String>,
    /// Only what happened since a time (2026-11-21T10:00:00Z) or a duration ago (2h)
    #[arg(long, value_name = "TIME|DURATION")]
    pub since: Option<Since>,
    /// The last so many, 1000 at most [default: 100, and 10 with --follow]
    #[arg(short = 'n', long = "lines", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub most: Option<u32>,
}

/// The shells whose completions can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Name {
    Bash,
    Zsh,
    Fish,
}

impl From<Name> for Shell {
    fn from(name: Name) -> Self {
        match name {
            Name::Bash => Self::Bash,
            Name::Zsh => Self::Zsh,
            Name::Fish => Self::Fish,
        }
    }
}

fn valid(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    if (1..=300).contains(&span.0.as_secs()) { Ok(span) } else { Err("it is 1s at least and 5m at most".to_owned()) }
}

fn sha256(text: &str) -> Result<String, String> {
    let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if fits { Ok(text.to_ascii_lowercase()) } else { Err("it has 64 hexadecimal digits".to_owned()) }
}

/// The program as clap knows it, for help, parsing and completions.
pub(super) fn program() -> clap::Command {
    Arguments::command().version(crate::version()).after_help(exit::TABLE)
}

/// Reads what was typed.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    Arguments::from_arg_matches(&program().try_get_matches_from(arguments)?)
}

#[cfg(test)]
mod tests;
