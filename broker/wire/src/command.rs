//! Commands, how they end, and the log streams that they open. A command travels as a compact JWS
//! (EdDSA), which is neither made nor verified here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::topic::AgentId;

mod outcome;
mod reading;

pub use outcome::{LogChunk, LogPiece, Outcome, Progress};

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
///
/// It is written as it stands here, and read as `reading` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", try_from = "Map<String, Value>")]
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
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<u32>,
    },
    /// Stop and start a container.
    Restart {
        /// Which.
        container: Box<str>,
        /// As for stop.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<u32>,
    },
    /// Send a container's first process a signal.
    Kill {
        /// Which.
        container: Box<str>,
        /// The signal's name or number; `SIGKILL` when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
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
        force: bool,
        /// With its anonymous volumes.
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
        #[serde(skip_serializing_if = "Option::is_none")]
        tail: Option<u32>,
        /// Not what is older, in milliseconds since 1970 UTC.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<i64>,
        /// Not what is newer, in milliseconds since 1970 UTC.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
        /// Each line with the engine's time before it.
        timestamps: bool,
        /// Go on with what the container will write, until [`Command::Cancel`], or until nobody listens.
        follow: bool,
        /// End after so many bytes of text; the agent's own bound when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
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
        #[serde(skip_serializing_if = "Option::is_none")]
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
        force: bool,
    },
    /// Create a network.
    CreateNetwork {
        /// Its name.
        network: Box<str>,
        /// Its driver; the engine's own choice when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        driver: Option<Box<str>>,
        /// Without a way to the outside.
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
        #[serde(skip_serializing_if = "Option::is_none")]
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
        all: bool,
    },
    /// Replace a container by one of a newer image, or of another, and go back when the new one does not work.
    Update {
        /// Which.
        container: Box<str>,
        /// The image; the one that it was made from when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<Box<str>>,
        /// Tell what would be done, and do nothing but the pull's question.
        dry_run: bool,
        /// Seconds that the new one has to be healthy.
        #[serde(skip_serializing_if = "Option::is_none")]
        patience: Option<u32>,
    },
    /// Replace the agent itself by another version, and go back when that one does not reach the broker.
    SelfUpdate {
        /// Where the agent runs in a container: the image.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<Box<str>>,
        /// Where it is a program of the host: where the new one is.
        #[serde(skip_serializing_if = "Option::is_none")]
        program: Option<Program>,
        /// Seconds that the new one has to be online at the broker.
        #[serde(skip_serializing_if = "Option::is_none")]
        patience: Option<u32>,
    },
    /// Something that this version does not know.
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
