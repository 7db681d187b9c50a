//! What an agent tells of a command: how it goes, and the log that it opened.

use ciborium::Value;
use serde::{Deserialize, Serialize};

use crate::codec::Payload;

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
