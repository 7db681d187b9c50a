//! All containers of a host as they are at one point of the agent's sequence.

use serde::{Deserialize, Serialize};

use crate::codec::Payload;
use crate::container::Record;
use crate::status::EngineFacts;

/// The state of a host that includes all events up to `sequence`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The epoch of the agent's sequence.
    pub epoch: u64,
    /// The last event that is included; 0 when the epoch has none yet.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// The engine's time in nanoseconds up to which its events are included: where a restarted agent reads on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// When it was made.
    pub at: i64,
    /// Whether `containers` are all that the engine has; if not, nobody may take the list for the truth.
    pub complete: bool,
    /// The engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineFacts>,
    /// The host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostFacts>,
    /// Every container, by id.
    #[serde(default)]
    pub containers: Vec<Record>,
}

impl Payload for Snapshot {
    const MAX: usize = 4 * 1024 * 1024;
    const PACKED: bool = true;
}

/// What the engine says of its host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Processors that containers can use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The operating system's name (`Debian GNU/Linux 12 (bookworm)`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Box<str>>,
    /// The kernel's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Box<str>>,
}
