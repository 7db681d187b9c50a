//! The bridge asks an agent for events that it misses.

use serde::{Deserialize, Serialize};

use crate::codec::Payload;

/// A request for the events `from..=to` of an epoch. What is no longer there is answered by a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resend {
    /// The epoch of the events.
    pub epoch: u64,
    /// The first one missing.
    pub from: u64,
    /// The last one missing.
    pub to: u64,
}

impl Payload for Resend {
    const MAX: usize = 1024;
}
