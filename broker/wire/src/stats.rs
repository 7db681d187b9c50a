//! Samples of what containers and their host use. A figure that the kernel does not give is absent, never 0.

use serde::{Deserialize, Serialize};

use crate::codec::Payload;
use crate::container::ContainerId;

/// One sample of a host and of its running containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// When it was taken.
    pub at: i64,
    /// The host as a whole.
    pub host: Usage,
    /// Every running container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerUsage>,
}

impl Payload for Stats {
    const MAX: usize = 256 * 1024;
}

/// What one container uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerUsage {
    /// The container.
    pub id: ContainerId,
    /// The engine's time in nanoseconds at which it was read; the sample's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// What it uses.
    pub usage: Usage,
}

/// Counters are since the start of what they count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time used, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
    /// Memory used, in bytes, without the page cache that can be dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Memory that can be used, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
    /// Bytes received from networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Bytes sent to networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Bytes read from block devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// Bytes written to block devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
}
