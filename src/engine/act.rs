//! What a command has done to a container, and what it asks the engine for: the calls in plain words, how they end, and
//! those that are under way. Whether a command may be performed, and how many at once, is the core's business.

use ciborium::Value;
use radar_wire::command::{LogPiece, Prunable};
use radar_wire::container::ContainerId;
use radar_wire::stats::ContainerUsage;
use thiserror::Error;

mod call;
mod document;
mod found;
mod layers;
mod logs;
mod pull;
mod running;
mod store;
mod usage;

pub use document::Document;
pub use layers::Pulled;
pub(super) use running::Running;

/// One call to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Start a container.
    Start {
        /// Which.
        id: ContainerId,
    },
    /// Stop a container.
    Stop {
        /// Which.
        id: ContainerId,
        /// Seconds until it is killed; the container's own when absent, or the engine's.
        timeout: Option<u32>,
    },
    /// Stop a container, when it runs, and start it.
    Restart {
        /// Which.
        id: ContainerId,
        /// As for stop.
        timeout: Option<u32>,
    },
    /// Send a container's first process a signal.
    Kill {
        /// Which.
        id: ContainerId,
        /// The signal's name or number; `SIGKILL` when absent.
        signal: Option<Box<str>>,
    },
    /// Freeze a container.
    Pause {
        /// Which.
        id: ContainerId,
    },
    /// Let a frozen container go on.
    Unpause {
        /// Which.
        id: ContainerId,
    },
    /// Give a container another name.
    Rename {
        /// Which.
        id: ContainerId,
        /// The new name.
        to: Box<str>,
    },
    /// Remove a container.
    Remove {
        /// Which.
        id: ContainerId,
        /// Also while it runs.
        force: bool,
        /// With its anonymous volumes.
        volumes: bool,
    },
    /// Tell all that the engine knows of a container: a map in the engine's own words. Of its environment only the
    /// names; labels that are not shown, and the options of drivers, have an empty value.
    Inspect {
        /// Which.
        id: ContainerId,
    },
    /// List a container's processes: `titles`, and `processes` with a text for each title.
    Top {
        /// Which.
        id: ContainerId,
    },
    /// List the images: `images`, each with `id`, `tags`, `size`, `created` and, where the engine tells, `in_use`.
    Images,
    /// List the networks: `networks`, each with `id`, `name`, `driver`, `scope`, `internal` and `created`.
    Networks,
    /// List the volumes: `volumes`, each with `name`, `driver`, `scope`, `created` and, where the engine tells, `size`
    /// and `in_use`.
    Volumes,
    /// Tell a container's log, in [`Piece::Log`]; times in milliseconds since 1970 UTC, both inclusive. It ends with the
    /// log.
    Logs {
        /// Which.
        id: ContainerId,
        /// The last so many lines; all when absent.
        tail: Option<u32>,
        /// Not what is older.
        since: Option<i64>,
        /// Not what is newer.
        until: Option<i64>,
        /// Each line with the engine's time before it.
        timestamps: bool,
        /// Go on with what the container will write, for as long as it runs.
        follow: bool,
    },
    /// Pull an image, as who the operator's registry file says that this host is; tells [`Piece::Pull`]. Finds
    /// `image`, its id, and `digest` where its registry has told one. Its time-out is for the time in which the engine
    /// says nothing.
    Pull {
        /// Its whole name, with a tag or a digest.
        image: Box<str>,
    },
    /// Remove an image, or a name of it: `removed`, names and, with `sha256:`, ids.
    RemoveImage {
        /// Its name or id.
        image: Box<str>,
        /// Also where a stopped container uses it, or it has several names.
        force: bool,
    },
    /// Create a network that is not there yet: `id`.
    CreateNetwork {
        /// Its name.
        network: Box<str>,
        /// Its driver; the engine's own choice when absent.
        driver: Option<Box<str>>,
        /// Without a way to the outside.
        internal: bool,
    },
    /// Remove a network.
    RemoveNetwork {
        /// Its name or id.
        network: Box<str>,
    },
    /// Create a volume, unless it is there.
    CreateVolume {
        /// Its name.
        volume: Box<str>,
        /// Its driver; the engine's own choice when absent.
        driver: Option<Box<str>>,
    },
    /// Remove a volume.
    RemoveVolume {
        /// Its name.
        volume: Box<str>,
    },
    /// Remove those of these containers that do not run: `removed`, their names; `left`, why others were not; `freed`.
    RemoveStopped {
        /// Which.
        ids: Vec<ContainerId>,
    },
    /// Remove what nothing uses: `removed`, names and, of images, ids; `freed` in bytes where the engine counts it.
    /// Containers are not removed so, since their labels count.
    Prune {
        /// Of which kind.
        what: Prunable,
        /// Also images that have a name, and volumes that have one.
        all: bool,
    },
    /// Read once what these containers use; tells one [`Piece::Sample`].
    Sample {
        /// Which; one that does not run is passed over.
        ids: Vec<ContainerId>,
    },
    /// Tell the whole of some containers' inspects, with their environment: a list, with null for one that is not
    /// there, as [`Piece::Found`].
    Describe {
        /// Which, by id or name.
        named: Vec<Box<str>>,
    },
    /// Tell the whole of an image's inspect, as [`Piece::Found`].
    DescribeImage {
        /// Which, by id or name.
        image: Box<str>,
    },
    /// Tell the inspects of all containers that live in a namespace of this one: a list, as [`Piece::Found`].
    Sharing {
        /// Which.
        id: ContainerId,
    },
    /// Create a container; what it finds is the new one's id.
    Create {
        /// Its name.
        name: Box<str>,
        /// All that it is made from.
        body: Document,
    },
    /// Connect a container to a network.
    Connect {
        /// Which.
        network: Box<str>,
        /// The container.
        id: ContainerId,
        /// Its place in the network.
        endpoint: Document,
    },
    /// Take a container off a network.
    Disconnect {
        /// Which.
        network: Box<str>,
        /// The container.
        id: ContainerId,
    },
}

/// An act that the engine has performed.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Whether there was something to do or to tell; not where it was so already.
    pub needed: bool,
    /// What it found. A list that is cut has `truncated: true`; sizes are in bytes, times in milliseconds since 1970
    /// UTC.
    pub result: Option<Value>,
}

/// What an act tells while it is under way.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Some of a log, in order: what was there at once, at most 32 KiB of text.
    Log(Vec<LogPiece>),
    /// How far a pull is.
    Pull(Pulled),
    /// What containers use.
    Sample(Vec<ContainerUsage>),
    /// What an act was to tell as it stands; for this host only.
    Found(Document),
}

/// Why an act was not performed, as far as is known: one that has timed out, or whose engine has gone away, may have
/// had its effect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct ActError {
    /// What kind of failure it is.
    pub kind: ActErrorKind,
    /// The engine's own words where it has said something; at most 500 bytes.
    pub text: Box<str>,
}

/// The kinds of failure that a caller tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActErrorKind {
    /// The engine does not have that.
    NotFound,
    /// It is not in a state for it, something uses it, or the name is taken.
    Conflict,
    /// Who guards the engine's socket, or the registry, forbids it.
    Denied,
    /// What the operator has set cannot be used.
    Settings,
    /// The engine does not answer in time.
    TimedOut,
    /// It was ended by who asked for it.
    Cancelled,
    /// Everything else.
    Engine,
}

impl ActErrorKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Settings => "settings",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Engine => "engine",
        }
    }
}
