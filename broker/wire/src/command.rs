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
    /// Tell a container's log on `log/<jti>`, from the oldest line that is asked for on.
    Logs {
        /// Which.
        container: Box<str>,
        /// The last so many lines; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tail: Option<u32>,
        /// Not what is older, in milliseconds since 1970 UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<i64>,
        /// Not what is newer, in milliseconds since 1970 UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
        /// Each line with the engine's time before it.
        #[serde(default)]
        timestamps: bool,
        /// Go on with what the container will write, until [`Command::Cancel`], or until nobody listens.
        #[serde(default)]
        follow: bool,
        /// End after so many bytes of text; the agent's own bound when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    },
    /// End a log stream, or samples, before their time.
    Cancel {
        /// The command that asked for them.
        jti: Box<str>,
    },
    /// Publish samples on `stats` for a while.
    Stats {
        /// For how many seconds.
        seconds: u32,
        /// Seconds between two samples; 2 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interval: Option<u32>,
    },
    /// Pull an image.
    Pull {
        /// Its name, with a tag or a digest.
        image: Box<str>,
    },
    /// Remove an image, or a name of it.
    RemoveImage {
        /// Its name or id.
        image: Box<str>,
        /// Also where a stopped container uses it, or it has several names.
        #[serde(default)]
        force: bool,
    },
    /// Create a network.
    CreateNetwork {
        /// Its name.
        network: Box<str>,
        /// Its driver; the engine's own choice when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        driver: Option<Box<str>>,
        /// Without a way to the outside.
        #[serde(default)]
        internal: bool,
    },
    /// Remove a network.
    RemoveNetwork {
        /// Its name or id.
        network: Box<str>,
    },
    /// Create a volume.
    CreateVolume {
        /// Its name.
        volume: Box<str>,
        /// Its driver; the engine's own choice when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        driver: Option<Box<str>>,
    },
    /// Remove a volume.
    RemoveVolume {
        /// Its name.
        volume: Box<str>,
    },
    /// Remove what nothing uses.
    Prune {
        /// Of which kind.
        what: Prunable,
        /// Also images that have a name, and volumes that have one.
        #[serde(default)]
        all: bool,
    },
    /// Replace a container by one of a newer image, or of another, and go back when the new one does not work.
    Update {
        /// Which.
        container: Box<str>,
        /// The image; the one that it was made from when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<Box<str>>,
        /// Tell what would be done, and do nothing but the pull's question.
        #[serde(default)]
        dry_run: bool,
        /// Seconds that the new one has to be healthy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patience: Option<u32>,
    },
    /// Replace the agent itself by another version, and go back when that one does not reach the broker.
    SelfUpdate {
        /// Where the agent runs in a container: the image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<Box<str>>,
        /// Where it is a program of the host: where the new one is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<Program>,
        /// Seconds that the new one has to be online at the broker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patience: Option<u32>,
    },
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What can be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they say it themselves")]
pub enum Prunable {
    Containers,
    Images,
    Networks,
    Volumes,
}

/// A program to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// From where: `http://` or `https://`.
    pub url: Box<str>,
    /// The SHA-256 of its bytes, in 64 hexadecimal digits.
    pub sha256: Box<str>,
    /// The release key's Ed25519 signature of those 32 bytes, in base64url.
    pub signature: Box<str>,
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
            Self::Logs { .. } => "logs",
            Self::Cancel { .. } => "cancel",
            Self::Stats { .. } => "stats",
            Self::Pull { .. } => "pull",
            Self::RemoveImage { .. } => "remove-image",
            Self::CreateNetwork { .. } => "create-network",
            Self::RemoveNetwork { .. } => "remove-network",
            Self::CreateVolume { .. } => "create-volume",
            Self::RemoveVolume { .. } => "remove-volume",
            Self::Prune { .. } => "prune",
            Self::Update { .. } => "update",
            Self::SelfUpdate { .. } => "self-update",
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
            | Self::Top { container }
            | Self::Logs { container, .. }
            | Self::Update { container, .. } => Some(container),
            Self::Images
            | Self::Networks
            | Self::Volumes
            | Self::Cancel { .. }
            | Self::Stats { .. }
            | Self::Pull { .. }
            | Self::RemoveImage { .. }
            | Self::CreateNetwork { .. }
            | Self::RemoveNetwork { .. }
            | Self::CreateVolume { .. }
            | Self::RemoveVolume { .. }
            | Self::Prune { .. }
            | Self::SelfUpdate { .. }
            | Self::Unknown => None,
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

/// A part of a log stream, which has the same name as the command that asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChunk {
    /// Counts the chunks of a stream from 0.
    pub number: u64,
    /// What was written, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<LogPiece>,
    /// Why the stream ends with this chunk (`end`, `cancelled`, `limit`, …); none when it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Box<str>>,
}

impl Payload for LogChunk {
    const MAX: usize = 128 * 1024;
}

/// Text that was written to one stream in one go; of a line that is long, or not ended yet, a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPiece {
    /// `stdout` or `stderr`; what a terminal shows is `stdout`.
    pub stream: Box<str>,
    /// The text; bytes that are no UTF-8 are U+FFFD.
    pub text: Box<str>,
}
