//! How a life ends: what waits may leave, then the goodbye, then what the next life goes on with. Bounded in time: a
//! broker that takes nothing does not keep the agent.

use std::time::Duration;

use radar_link::time::Now;

use super::remark::Remark;
use super::{Agent, Effect, keeping};

/// How long a stop waits for waiting events to leave, and for the goodbye to be taken.
const FLUSH: Duration = Duration::from_secs(2);
const GOODBYE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Events may leave until then.
    Flushing { until: Duration, give_up: Duration },
    /// The goodbye is on its way.
    Leaving { give_up: Duration },
    /// The broker has taken it.
    Left,
    /// All is said.
    Done,
}

impl Agent {
    /// Asks the agent to end; [`Effect::Stopped`] follows within 5 s.
    pub fn handle_stop(&mut self, now: Now) {
        self.now = now;
        if self.stop.is_none() {
            self.say(Remark::Stopping);
            self.commands.handle_stop(now);
            self.stop = Some(Stop::Flushing { until: now.mono + FLUSH, give_up: now.mono + GOODBYE });
        }
    }

    /// When the next part of the end is due.
    pub(super) fn stop_timeouts(&self) -> [Option<Duration>; 2] {
        match self.stop {
            Some(Stop::Flushing { until, give_up }) => [Some(until), Some(give_up)],
            Some(Stop::Leaving { give_up }) => [Some(give_up), None],
            _ => [None; 2],
        }
    }

    pub(super) fn next_of_stop(&mut self) -> Option<Effect> {
        let connected = self.publishing.is_connected();
        let unsaid = match self.stop? {
            Stop::Done => return None,
            Stop::Flushing { give_up, .. } | Stop::Leaving { give_up } if connected && self.now.mono < give_up => {
                return None;
            }
            Stop::Flushing { .. } | Stop::Leaving { .. } => connected,
            Stop::Left => false,
        };
        if unsaid {
            self.say(Remark::Unsaid);
        }
        self.stop = Some(Stop::Done);
        if self.config.on_disk {
            let outbox = keeping::everything(&self.outbox);
            self.effects.push_back(Effect::Finish { outbox, stopped: self.snapshot() });
        }
        self.effects.push_back(Effect::Stopped { unsaid });
        self.effects.pop_front()
    }
}
