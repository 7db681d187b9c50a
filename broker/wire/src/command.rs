//! Commands, how they end, and the log streams that they open. A command travels as a compact JWS
//! (EdDSA), which is neither made nor verified here.

use ciborium::Value;
use serde::{Deserialize, Serialize};

use crate::codec::Payload;
use crate::topic::AgentId;

/// What the JWS of a command says; JSON, as RFC 7519 has it, times in seconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The agent that it is for.
    pub aud: AgentId,
    /// Who asked.
    pub sub: String,
    /// When it was issued.
    pub iat: i64,
    /// When it ends to be valid.
    pub exp: i64,
    /// Names the command for ever.
    pub jti: String,
    /// What to do.
    pub cmd: String,
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

/// A piece of a log stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChunk {
    /// Counts the chunks of a stream from 0.
    pub number: u64,
    /// `stdout` or `stderr`.
    pub stream: Box<str>,
    /// The text.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub text: Box<str>,
    /// Why the stream ends with this chunk; none when it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Box<str>>,
}

impl Payload for LogChunk {}
