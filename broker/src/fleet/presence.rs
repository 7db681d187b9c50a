//! Whether an agent is there, by its statuses: those of an earlier session than one already seen are stale, and the
//! last will of a session cannot end a later one. A session that has ended does not begin again.

use std::time::Duration;

use radar_wire::codec::decode;
use radar_wire::status::{Presence as Word, Reason, Status};

/// How long two machines must not have taken turns for the conflict to be over, in milliseconds.
const CONFLICT: i64 = 3_600_000;

/// The reason that the bridge gives when an agent says nothing after a connection to the broker.
pub(super) const SILENT: &str = "silent";

/// Two machines use one agent id in turns, as hosts do that were cloned from one SD card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Hashes of the two machines, the newer one last.
    pub machines: [Box<str>; 2],
    /// When they last took turns, in milliseconds since 1970 UTC.
    pub last: i64,
}

/// An agent's presence.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// `None` until a status came.
    pub(super) state: Option<Word>,
    pub(super) reason: Box<str>,
    pub(super) session: u64,
    /// The payload of the last status that counted.
    pub(super) status: Box<[u8]>,
    /// Whether the agent is to say again that it is there, and from when on (monotonic) that counts.
    pub(super) doubted: Option<Duration>,
    /// Whether it answers when it is asked for events.
    pub(super) answers: bool,
    pub(super) conflict: Option<Conflict>,
    machine: Option<Box<str>>,
    previous: Option<Box<str>>,
}

/// What a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Of an earlier session, or out of its order.
    Stale,
    /// What is known.
    Same,
    /// News.
    News,
    /// News, and a connection that was not known begins.
    Birth,
}

impl Presence {
    /// Takes a status.
    pub(super) fn handle_status(&mut self, status: &Status, payload: &[u8], now: i64) -> Verdict {
        if self.state.is_some() && status.session < self.session {
            return Verdict::Stale;
        }
        let same_session = self.state.is_some() && status.session == self.session;
        let ended = same_session && self.state == Some(Word::Offline) && *self.reason != *SILENT;
        if ended && status.state == Word::Online && status.reason == Reason::Start {
            return Verdict::Stale;
        }
        if same_session && *self.status == *payload && self.state == Some(status.state) {
            return Verdict::Same;
        }
        let was_online = same_session && self.state == Some(Word::Online);
        self.state = Some(status.state);
        self.reason = status.reason.as_str().into();
        self.session = status.session;
        self.status = payload.into();
        self.answers = answers(status);
        if status.state == Word::Offline {
            self.doubted = None;
            return Verdict::News;
        }
        self.compare_machine(status.agent.machine.as_deref(), now);
        if was_online { Verdict::News } else { Verdict::Birth }
    }

    /// Whether it is there, as far as is known.
    pub(super) fn online(&self) -> bool {
        self.state == Some(Word::Online)
    }

    /// It did not say again that it is there.
    pub(super) fn fall_silent(&mut self) {
        self.doubted = None;
        self.state = Some(Word::Offline);
        self.reason = SILENT.into();
    }

    /// Takes what was stored.
    pub(super) fn restore(online: bool, reason: &str, session: u64, payload: Box<[u8]>) -> Self {
        let state = Some(if online { Word::Online } else { Word::Offline });
        let status = decode::<Status>(None, &payload).ok();
        let answers = status.as_ref().is_some_and(answers);
        let machine = status.and_then(|status| status.agent.machine);
        Self { state, reason: reason.into(), session, status: payload, answers, machine, ..Self::default() }
    }

    fn compare_machine(&mut self, machine: Option<&str>, now: i64) {
        let Some(machine) = machine else { return };
        if self.conflict.as_ref().is_some_and(|conflict| now - conflict.last > CONFLICT) {
            self.conflict = None;
            self.previous = None;
        }
        if self.machine.as_deref() == Some(machine) {
            return;
        }
        let before = self.machine.replace(machine.into());
        if self.previous.as_deref() == Some(machine)
            && let Some(other) = &before
        {
            self.conflict = Some(Conflict { machines: [other.clone(), machine.into()], last: now });
        }
        self.previous = before;
    }
}

fn answers(status: &Status) -> bool {
    status.can.iter().any(|word| &**word == "resend")
}
