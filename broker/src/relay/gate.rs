//! When the server may be asked at all. A failure that is the server's closes the gate for every agent:
//! a server in trouble gets one request, then a pause that grows.

use std::time::Duration;

use super::call::Failure;
use super::condition::ServerCondition;
use super::pace::backoff;

const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);
/// A server that is still at work on a heartbeat fails the next one.
const FIRST_UNANSWERED: Duration = Duration::from_secs(5);

/// So many failed heartbeats in a row mean that the server's database is wedged: two at once, which it
/// survives, never come from here.
const WEDGED: u32 = 5;

/// The server as a whole.
#[derive(Debug)]
pub(super) struct Gate {
    /// Closed until then.
    pub(super) until: Duration,
    /// Failures in a row, whatever kind.
    pub(super) failures: u32,
    /// Heartbeats in a row that ended in a server error.
    broken_beats: u32,
    /// How it stands.
    pub(super) condition: ServerCondition,
}

impl Gate {
    pub(super) const fn new() -> Self {
        Self { until: Duration::ZERO, failures: 0, broken_beats: 0, condition: ServerCondition::Unheard }
    }

    /// Closes the gate after a failure; true when the server's condition has changed.
    pub(super) fn fail(&mut self, failure: Failure, beat: bool, mono: Duration) -> bool {
        let mut first = FIRST;
        let condition = match failure {
            Failure::Unreachable(text) => {
                // Whoever restarts a wedged server makes it unreachable first.
                self.broken_beats = 0;
                ServerCondition::Unreachable(text)
            }
            Failure::Unanswered(text) => {
                first = FIRST_UNANSWERED;
                ServerCondition::Unreachable(text)
            }
            Failure::Server { status, text } => {
                // 502, 503 and 504 are a proxy's words for a server that is away.
                match status {
                    500 => self.broken_beats = self.broken_beats.saturating_add(u32::from(beat)),
                    _ => self.broken_beats = 0,
                }
                if self.broken_beats >= WEDGED {
                    ServerCondition::Wedged
                } else {
                    ServerCondition::Failing { status, text }
                }
            }
            Failure::Rejected { status } => {
                ServerCondition::Foreign { status, text: "the body was refused".to_owned() }
            }
            Failure::Foreign { status, text } => ServerCondition::Foreign { status, text },
        };
        self.close(condition, first, mono)
    }

    /// Closes the gate after a refusal that makes no sense; true when the server's condition has changed.
    pub(super) fn deny(&mut self, status: u16, text: String, mono: Duration) -> bool {
        self.close(ServerCondition::Denying { status, text }, FIRST, mono)
    }

    fn close(&mut self, condition: ServerCondition, first: Duration, mono: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.until = mono + backoff(self.failures, first, MOST);
        let changed = !self.condition.same_kind(&condition);
        self.condition = condition;
        changed
    }

    /// A heartbeat was accepted: all is well. True when that is news.
    pub(super) fn beat_accepted(&mut self) -> bool {
        self.broken_beats = 0;
        self.recover()
    }

    /// A call that no heartbeat follows at once was answered. That ends the trouble of not being heard, but
    /// says nothing of the database. True when that is news.
    pub(super) fn answered(&mut self) -> bool {
        use ServerCondition::{Foreign, Unheard, Unreachable};
        matches!(self.condition, Unheard | Unreachable(_) | Foreign { .. }) && self.recover()
    }

    fn recover(&mut self) -> bool {
        self.failures = 0;
        self.until = Duration::ZERO;
        let changed = self.condition != ServerCondition::Well;
        self.condition = ServerCondition::Well;
        changed
    }
}
