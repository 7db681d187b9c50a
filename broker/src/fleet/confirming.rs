//! Whether agents that were there before a connection to the broker are there still. A broker that was killed, as in a
//! power cut, has lost the last wills, and from its disk it may bring back everything else: the bridge's session and the
//! word of an agent that will never come again. An agent that connects anew says so; one whose connection stood says
//! nothing, and is asked for its last event, which it has. Who says nothing at all in time is taken for gone.

use std::ops::Bound;
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::topic::AgentId;

use super::tracking::Hole;
use super::{Agent, Fleet};

/// When who has said nothing is asked, counted from the connection: after the slowest reconnect of an agent.
const ASKED: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// When who has still said nothing is taken for gone.
const GONE: Duration = Duration::from_secs(180);
/// What comes so soon on a session that the broker kept may have waited there since before.
const QUEUED: Duration = Duration::from_secs(10);
/// How many are asked at once, and the pause until the next ones.
const AT_ONCE: usize = 500;
const PAUSE: Duration = Duration::from_secs(1);

/// How far it has come since a connection.
#[derive(Debug)]
pub(super) struct Confirming {
    began: Duration,
    /// How often all were asked.
    rounds: usize,
    /// Who was asked last in this round.
    last: Option<AgentId>,
    /// When to go on.
    pub(super) due: Duration,
}

impl Agent {
    /// What the agent can be asked for as a sign of life; nothing where nothing happened yet, and of one who does not
    /// answer.
    fn last_event(&self) -> Option<Hole> {
        let (epoch, last) = self.tracking.latest().filter(|(_, last)| *last > 0 && self.presence.answers)?;
        Some(Hole { epoch, first: last, last })
    }

    /// A retained status says what the broker remembers: a sign of life only of one who cannot be asked.
    pub(super) fn reassure(&mut self) {
        if self.last_event().is_none() {
            self.presence.doubted = None;
        }
    }
}

impl Fleet {
    /// Doubts everybody who is online. One who cannot be asked has to show itself only where nothing can be from before.
    pub(super) fn doubt(&mut self, session_present: bool, now: Now) {
        let from = now.mono + if session_present { QUEUED } else { Duration::ZERO };
        let mut doubted = false;
        for agent in self.agents.values_mut() {
            let doubts = agent.presence.online() && (!session_present || agent.last_event().is_some());
            agent.presence.doubted = doubts.then_some(from);
            doubted |= doubts;
        }
        let began = now.mono;
        self.confirming = doubted.then_some(Confirming { began, rounds: 0, last: None, due: began + ASKED[0] });
    }

    /// Goes on with it, when that is due.
    pub(super) fn confirm(&mut self, now: Now) {
        let Some(mut confirming) = self.confirming.take_if(|confirming| confirming.due <= now.mono) else { return };
        if confirming.rounds == ASKED.len() {
            return self.give_up(now);
        }
        let after = confirming.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let doubted =
            self.agents.range((after, Bound::Unbounded)).filter(|(_, agent)| agent.presence.doubted.is_some());
        let asked: Vec<_> = doubted.map(|(id, agent)| (id.clone(), agent.last_event())).take(AT_ONCE).collect();
        for (id, event) in &asked {
            self.ask(id, *event);
        }
        if asked.len() == AT_ONCE {
            confirming.last = asked.last().map(|(id, _)| id.clone());
            confirming.due = now.mono + PAUSE;
        } else {
            confirming.rounds += 1;
            confirming.due = confirming.began + ASKED.get(confirming.rounds).copied().unwrap_or(GONE);
        }
        self.confirming = Some(confirming);
    }

    fn give_up(&mut self, now: Now) {
        let doubted = self.agents.iter_mut().filter(|(_, agent)| agent.presence.doubted.is_some());
        let silent: Vec<_> = doubted
            .map(|(id, agent)| {
                agent.presence.fall_silent();
                id.clone()
            })
            .collect();
        for id in silent {
            self.touch(&id, false);
            self.look(&id, None, now);
        }
    }
}
