//! How far a command is, and the words for it.

use radar_wire::command::Progress;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far a command is, in the order of its life; the last four are ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The bridge has it, and may have sent it.
    Issued,
    /// The agent has taken it.
    Accepted,
    /// The agent is at it.
    Progress,
    /// Done.
    Succeeded,
    /// Not done, or only in part.
    Failed,
    /// The agent does not do it.
    Refused,
    /// Nobody knows.
    #[serde(other)]
    Unknown,
}

impl State {
    const ALL: [Self; 7] =
        [Self::Issued, Self::Accepted, Self::Progress, Self::Succeeded, Self::Failed, Self::Refused, Self::Unknown];

    /// How a command ends.
    pub const ENDS: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Refused, Self::Unknown];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Accepted => "accepted",
            Self::Progress => "progress",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// The state of a word; unknown for one of a later version.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == word).unwrap_or(Self::Unknown)
    }

    /// What an agent's word says. One of a later version is no end.
    #[must_use]
    pub fn of(progress: &Progress) -> Self {
        match progress {
            Progress::Accepted => Self::Accepted,
            Progress::Progress | Progress::Other(_) => Self::Progress,
            Progress::Succeeded => Self::Succeeded,
            Progress::Failed => Self::Failed,
            Progress::Refused => Self::Refused,
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_final(self) -> bool {
        self >= Self::Succeeded
    }
}

/// What is told of a command to who waits for it; as JSON, one object a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct News {
    /// The command.
    pub jti: Box<str>,
    /// When this was so, in milliseconds since 1970 UTC.
    pub at: i64,
    /// How far it is.
    pub state: State,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// What it found or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}
