//! Why something was not done, and what to do about it. One failure is printed once, and is one exit code.

use std::io;

use serde_json::Value;

use super::exit::Exit;
use super::show::Unreadable;
use crate::text::lines;

/// What stands between a question and its answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What was typed or set cannot be used.
    #[error("{0}")]
    Usage(String),
    /// There is no key to show.
    #[error("{0}")]
    NoKey(String),
    /// Nobody listens at the address.
    #[error("cannot reach the bridge at {url}: {why}; is it running, and is RADAR_URL (--url) its BRIDGE_API_LISTEN?")]
    Unreachable { url: String, why: String },
    /// The connection ended in the middle.
    #[error("the connection to the bridge was lost: {0}")]
    Lost(String),
    /// Somebody answers who is not the bridge's API.
    #[error("{url} does not answer as the bridge's API does (status {status}); is RADAR_URL (--url) right?")]
    Foreign { url: String, status: u16 },
    /// It does, but not as the contract has it.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The bridge says why not.
    #[error("{0}")]
    Problem(Problem),
    /// What was asked for has, as far as is known here, not ended.
    #[error("{0}")]
    Open(String),
    /// A log or a list that is not whole.
    #[error("{0}")]
    Cut(String),
    /// Something that was asked for by name is not there.
    #[error("{0}")]
    NotFound(String),
    /// The output cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Refused,
            Self::NoKey(_) => Exit::Unauthorized,
            Self::Unreachable { .. } | Self::Lost(_) | Self::Foreign { .. } | Self::Unreadable(_) => Exit::Unreachable,
            Self::Problem(problem) => problem.exit(),
            Self::Open(_) => Exit::Unknown,
            Self::NotFound(_) => Exit::NotFound,
            Self::Cut(_) | Self::Output(_) => Exit::Failed,
        }
    }

    /// Whether it is only that nobody reads on (`| head`).
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Of a request that changes something: a connection that is lost after it was sent leaves open how it ends.
    pub(super) fn of_an_act(self) -> Self {
        match self {
            Self::Lost(why) => Self::Open(format!(
                "the connection to the bridge was lost ({why}); whether it is done, `radar audit` shows"
            )),
            other => other,
        }
    }

    /// The word of a problem (`busy`, `not-found`, …).
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }
}

/// The body of an answer that is no success, after RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub status: u16,
    pub code: String,
    pub detail: String,
    pub command: Option<String>,
}

impl Problem {
    /// Reads one; `None` when the body is not of the bridge.
    pub(super) fn read(status: u16, body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let detail = text("detail").or_else(|| text("title")).unwrap_or_default();
        Some(Self { status, code: text("code")?, detail, command: text("command") })
    }

    fn exit(&self) -> Exit {
        Exit::of_word(&self.code).unwrap_or_else(|| Exit::of_status(self.status))
    }

    /// What somebody can do about it, where that is not said already.
    fn advice(&self) -> Option<&'static str> {
        match self.code.as_str() {
            "unauthorized" => Some(
                "the bridge does not know this key; make one with `radar-bridge api-key create` beside the bridge, and put it \
                 into ~/.config/radar/key",
            ),
            "forbidden" => {
                Some("this key may not do this; `radar-bridge api-key create --scope operate|admin` makes one that may")
            }
            "unknown-path" => Some("the bridge is of another version than this program"),
            "agent-away" => Some("`radar agents` shows when it was last heard"),
            "too-many-streams" => Some("others follow already as much as the bridge gives; try again later"),
            _ => None,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (code, detail) = (lines(&self.code), lines(&self.detail));
        // Reasons begin with the word already.
        if detail.is_empty() || detail == code {
            f.write_str(&code)?;
        } else if detail.starts_with(&format!("{code}:")) {
            f.write_str(&detail)?;
        } else {
            write!(f, "{code}: {detail}")?;
        }
        self.advice().map_or(Ok(()), |advice| write!(f, " ({advice})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, code: &str, detail: &str) -> Failure {
        let body =
            serde_json::json!({"type": "about:blank", "title": "x", "status": status, "detail": detail, "code": code});
        Failure::Problem(Problem::read(status, body.to_string().as_bytes()).unwrap())
    }

    // PS3
    #[test]
    fn what_the_bridge_answers_is_an_exit_code() {
        for (status, code, expect) in [
            (401, "unauthorized", Exit::Unauthorized),
            (403, "forbidden", Exit::Unauthorized),
            (403, "policy", Exit::Refused),
            (403, "protected", Exit::Refused),
            (403, "denied", Exit::Failed),
            (404, "not-found", Exit::NotFound),
            (404, "unknown-agent", Exit::NotFound),
            (404, "unknown-path", Exit::Refused),
            (409, "conflict", Exit::Failed),
            (409, "ambiguous", Exit::Refused),
            (409, "agent-takes-no-commands", Exit::Refused),
            (400, "bad-request", Exit::Refused),
            (413, "too-large", Exit::Refused),
            (429, "busy", Exit::Refused),
            (501, "unknown-command", Exit::Refused),
            (502, "clock", Exit::Failed),
            (502, "rolled-back", Exit::Failed),
            (502, "interrupted", Exit::Unknown),
            (503, "agent-away", Exit::Failed),
            (503, "bridge-trouble", Exit::Failed),
            (503, "too-many-streams", Exit::Failed),
            (504, "timed-out", Exit::Unknown),
            (504, "no-outcome", Exit::Unknown),
        ] {
            assert_eq!(problem(status, code, "").exit(), expect, "{status} {code}");
        }
    }

    #[test]
    fn other_failures_have_theirs() {
        for (failure, expect) in [
            (Failure::Usage(String::new()), 2),
            (Failure::NoKey(String::new()), 6),
            (Failure::Unreachable { url: String::new(), why: String::new() }, 5),
            (Failure::Lost(String::new()), 5),
            (Failure::Lost(String::new()).of_an_act(), 4),
            (Failure::Usage(String::new()).of_an_act(), 2),
            (Failure::Foreign { url: String::new(), status: 200 }, 5),
            (Failure::Cut(String::new()), 1),
            (Failure::NotFound(String::new()), 3),
            (io::Error::other("disk full").into(), 1),
        ] {
            assert_eq!(failure.exit() as u8, expect, "{failure:?}");
        }
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_closed());
        assert!(!Failure::from(io::Error::other("disk full")).is_closed());
    }

    // E13
    #[test]
    fn a_problem_is_one_sentence_and_harmless() {
        for (failure, expect) in [
            (
                problem(404, "not-found", "not-found: no container is called web"),
                "not-found: no container is called web",
            ),
            (problem(409, "conflict", "the name is taken"), "conflict: the name is taken"),
            (problem(500, "x\u{1b}[2J", "y\u{9b}"), "x\u{fffd}[2J: y\u{fffd}"),
            (problem(504, "no-outcome", "no-outcome"), "no-outcome"),
        ] {
            assert_eq!(failure.to_string(), expect);
        }
        assert!(problem(401, "unauthorized", "").to_string().contains("radar-bridge api-key create"));
    }

    #[test]
    fn what_is_not_of_the_bridge_is_no_problem_of_ours() {
        for body in ["", "<html>", "{}", "[1]", "{\"code\":1}"] {
            assert_eq!(Problem::read(502, body.as_bytes()), None, "{body}");
        }
    }
}
