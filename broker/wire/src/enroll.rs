//! The server's one-time token on its way from the agent, where the user set it, to the bridge, which uses it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::Payload;

/// What the server's own compose file gives to an agent. It is not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enroll {
    /// The server's id of the agent.
    pub id: String,
    /// The one-time token.
    pub token: String,
}

impl Payload for Enroll {
    const MAX: usize = 4096;
}

impl fmt::Debug for Enroll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enroll").field("id", &self.id).finish_non_exhaustive()
    }
}
