//! How a log stream ends: the word in its last chunk, and what its command comes to.

use radar_wire::command::Progress;

use super::Asked;
use crate::engine::act::ActErrorKind;

/// Why a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The log has no more.
    Whole,
    Cancelled,
    /// It has as many bytes as were asked for.
    Limit,
    /// It was followed for as long as one is.
    Hour,
    Firehose,
    Nobody,
    LinkLost,
    /// The agent is about to end.
    Stopped,
    /// The broker refuses its chunks, for this reason.
    Refused(Box<str>),
    /// The broker takes no packet in which there is room for a log.
    TooLarge,
    Engine(ActErrorKind, Box<str>),
}

impl End {
    /// The word for it.
    pub(super) fn word(&self) -> Box<str> {
        match self {
            Self::Whole => "end",
            Self::Cancelled => "cancelled",
            Self::Limit => "limit",
            Self::Hour => "hour",
            Self::Firehose => "firehose",
            Self::Nobody => "nobody listens",
            Self::LinkLost => "link lost",
            Self::Stopped => "stopped",
            Self::Refused(_) => "refused",
            Self::TooLarge => "too-large",
            Self::Engine(_, text) => return ["engine: ", text].concat().into(),
        }
        .into()
    }

    /// How the command ends, and why.
    pub(super) fn outcome(&self, asked: Asked) -> (Progress, Option<Box<str>>) {
        let (state, reason) = match self {
            Self::Whole => return (Progress::Succeeded, None),
            Self::Cancelled => (Progress::Succeeded, "cancelled: somebody asked for its end"),
            Self::Limit => (Progress::Succeeded, "cut: it has as many bytes as were asked for"),
            Self::Hour => (Progress::Succeeded, "cut: it was followed for an hour; ask again to go on"),
            Self::Firehose => (
                Progress::Succeeded,
                "cut: for 10 s there was more than the 1 MiB/s that is passed on; ask for a short tail, or without follow for all of it",
            ),
            Self::Nobody if asked.follow => (Progress::Succeeded, "ended: nobody listens any more"),
            Self::Nobody => (Progress::Failed, "nobody-listens: nobody subscribed to its topic before it was all told"),
            Self::LinkLost => (Progress::Failed, "interrupted: the link to the broker was lost"),
            Self::Stopped => (Progress::Failed, "interrupted: the agent was stopped"),
            Self::TooLarge => {
                (Progress::Failed, "too-large: the broker takes packets of 2 KiB at most; raise its limit")
            }
            Self::Refused(why) => {
                let parts = ["refused: ", why, "; this agent's account must be allowed to publish on its topics log/#"];
                return (Progress::Failed, Some(parts.concat().into()));
            }
            Self::Engine(kind, text) => {
                return (Progress::Failed, Some([kind.as_str(), ": ", text].concat().into()));
            }
        };
        (state, Some(reason.into()))
    }
}
