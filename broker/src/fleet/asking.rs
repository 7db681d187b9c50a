//! When an agent is asked for what is missing: at once, and again with growing pauses while it is online, one request
//! at a time. A request covers one hole, however large: what the agent can answer with is bounded by its ring, and
//! what it does not have it answers with one gap.

use std::time::Duration;

use super::tracking::{Hole, Tracking};

/// The pause after the first request.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause.
const MOST: Duration = Duration::from_secs(60);

/// The requests to one agent.
#[derive(Debug, Default)]
pub(super) struct Asking {
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    hole: Hole,
    pause: Duration,
    due: Duration,
}

impl Asking {
    /// When the next request is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.asked.as_ref().map(|asked| asked.due)
    }

    /// Something of the agent has changed: the request to make, if there is one. `touched` is the epoch of which
    /// something was received or lost.
    pub(super) fn look(
        &mut self,
        tracking: &Tracking,
        online: bool,
        touched: Option<u64>,
        now: Duration,
    ) -> Option<Hole> {
        if !online {
            self.asked = None;
            return None;
        }
        if let Some(asked) = &mut self.asked
            && tracking.misses(asked.hole)
        {
            if touched == Some(asked.hole.epoch) {
                asked.due = now + asked.pause;
            }
            return None;
        }
        let hole = tracking.holes().next();
        self.asked = hole.map(|hole| Asked { hole, pause: FIRST, due: now + FIRST });
        hole
    }

    /// A new connection of the agent: requests to the last one are void.
    pub(super) fn forget(&mut self) {
        self.asked = None;
    }

    /// The request is due: the next one, for the hole after it, so that one which the agent does not answer for does
    /// not keep it from the others.
    pub(super) fn again(&mut self, tracking: &Tracking, now: Duration) -> Option<Hole> {
        let asked = self.asked.take()?;
        let place = |hole: Hole| tracking.place(hole.epoch, hole.first);
        let last = tracking.place(asked.hole.epoch, asked.hole.last);
        let hole = tracking.holes().find(|hole| place(*hole) > last).or_else(|| tracking.holes().next())?;
        let pause = (asked.pause * 2).min(MOST);
        self.asked = Some(Asked { hole, pause, due: now + pause });
        Some(hole)
    }
}
