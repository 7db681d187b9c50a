//! How the bridge is, in the form of `/health`.

use serde::Serialize;

/// The state of the bridge at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Health {
    /// `ok`, or `degraded` when anything below is not as it should be.
    pub status: Word,
    /// The broker.
    pub broker: Broker,
    /// The database.
    pub store: Store,
    /// The server.
    pub upstream: Upstream,
    /// The fleet.
    pub agents: Agents,
    /// The program.
    pub version: &'static str,
}

/// Whether all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Word {
    Ok,
    Degraded,
}

/// The connection to the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Broker {
    /// Whether it stands, with all subscriptions.
    pub connected: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Store {
    /// Whether the last commit succeeded.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The relay to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Upstream {
    /// `none`, `ok`, or a word for what is wrong.
    pub state: String,
    /// What is wrong, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The fleet in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Agents {
    /// All that are known.
    pub known: usize,
    /// Those that are there.
    pub online: usize,
}

impl Health {
    /// Whether the bridge can do what it is for: take messages and keep them. A server that is
    /// away is no reason to restart the bridge.
    pub(crate) fn works(&self) -> bool {
        self.broker.connected && self.store.ok
    }
}
