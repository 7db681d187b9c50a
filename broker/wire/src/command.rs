//! Commands, how they end, and the log streams that they open. A command travels as a compact JWS
//! (EdDSA), which is neither made nor verified here.

use ciborium::Value;
use serde::{Deserialize, Serialize};

use crate::codec::Payload;
use crate::topic::AgentId;

/// The most bytes of a command's JWS that are read.
pub const MAX_COMMAND: usize = 16 * 1024;

/// What the JWS of a command says; JSON, as RFC 7519 has it, times in seconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The bridge that made it.
    pub iss: String,
    /// The agent that it is for.
    pub aud: AgentId,
    /// Who asked.
    pub sub: String,
    /// When it was issued.
    pub iat: i64,
    /// When it ends to be valid.
    pub exp: i64,
    /// Names the command for ever: 1 to 64 of `A-Z a-z 0-9 -`; later ones are greater as text.
    pub jti: String,
    /// What to do.
    pub cmd: Command,
}

/// What an agent is to do. A container is meant by its name, its id, or the beginning of its id that no other has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    /// Start a container.
    Start {
        /// Which.
        container: Box<str>,
    },
    /// Stop a container.
    Stop {
        /// Which.
        container: Box<str>,
        /// Seconds until it is killed; the engine's own time when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<u32>,
    },
    /// Stop and start a container.
    Restart {
        /// Which.
        container: Box<str>,
        /// As for stop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<u32>,
    },
    /// Send a container's first process a signal.
    Kill {
        /// Which.
        container: Box<str>,
        /// The signal's name or number; `SIGKILL` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<Box<str>>,
    },
    /// Freeze a container.
    Pause {
        /// Which.
        container: Box<str>,
    },
    /// Let a frozen container go on.
    Unpause {
        /// Which.
        container: Box<str>,
    },
    /// Give a container another name.
    Rename {
        /// Which.
        container: Box<str>,
        /// The new name.
        to: Box<str>,
    },
    /// Remove a container.
    Remove {
        /// Which.
        container: Box<str>,
        /// Also while it runs.
        #[serde(default)]
        force: bool,
        /// With its anonymous volumes.
        #[serde(default)]
        volumes: bool,
    },
    /// Tell all that the engine knows of a container, without the values of its environment.
    Inspect {
        /// Which.
        container: Box<str>,
    },
    /// List a container's processes.
    Top {
        /// Which.
        container: Box<str>,
    },
    /// List the images.
    Images,
    /// List the networks.
    Networks,
    /// List the volumes.
    Volumes,
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Command {
    /// The word for it, as in an allow-list.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Unpause { .. } => "unpause",
            Self::Rename { .. } => "rename",
            Self::Remove { .. } => "remove",
            Self::Inspect { .. } => "inspect",
            Self::Top { .. } => "top",
            Self::Images => "images",
            Self::Networks => "networks",
            Self::Volumes => "volumes",
            Self::Unknown => "unknown",
        }
    }

    /// The container that it is about, as it was written.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Start { container }
            | Self::Stop { container, .. }
            | Self::Restart { container, .. }
            | Self::Kill { container, .. }
            | Self::Pause { container }
            | Self::Unpause { container }
            | Self::Rename { container, .. }
            | Self::Remove { container, .. }
            | Self::Inspect { container }
            | Self::Top { container } => Some(container),
            Self::Images | Self::Networks | Self::Volumes | Self::Unknown => None,
        }
    }
}

/// How a command goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The command.
    pub jti: Box<str>,
    /// When this was so.
    pub at: i64,
    /// How far it is.
    pub state: Progress,
    /// Why it failed or was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// What it found or did; its form is the command's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

impl Payload for Outcome {
    const MAX: usize = 256 * 1024;
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[expect(missing_docs, reason = "they say it themselves")]
pub enum Progress {
    Accepted,
    Progress,
    Succeeded,
    Failed,
    Refused,
    /// A word that this version does not know.
    Other(Box<str>),
}

impl Progress {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Accepted => "accepted",
            Self::Progress => "progress",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Progress {
    fn from(word: String) -> Self {
        match word.as_str() {
            "accepted" => Self::Accepted,
            "progress" => Self::Progress,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "refused" => Self::Refused,
            _ => Self::Other(word.into()),
        }
    }
}

impl From<Progress> for String {
    fn from(progress: Progress) -> Self {
        progress.as_str().to_owned()
    }
}

/// A piece of a log stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChunk {
    /// Counts the chunks of a stream from 0.
    pub number: u64,
    /// `stdout` or `stderr`.
    pub stream: Box<str>,
    /// The text.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub text: Box<str>,
    /// Why the stream ends with this chunk; none when it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Box<str>>,
}

impl Payload for LogChunk {}
