//! What the agent says of itself: birth, last will, goodbye, and what it does when the broker
//! tells something else of it. Its session number decides which word counts.

use std::time::Duration;

use radar_wire::codec::{self, DecodeError};
use radar_wire::status::{AgentFacts, EngineFacts, Presence as State, Reason, Status};

/// Numbers from here on are nobody's: the contract keeps below what every reader can hold.
const NO_SESSION: u64 = 1 << 53;

/// The shortest time between two words that put the broker's memory right.
const REASSERT: Duration = Duration::from_secs(5);

/// The shortest time between two attempts to outnumber an own earlier life.
const OUTNUMBER: Duration = Duration::from_secs(10);

/// The shortest time between two attempts to outnumber another machine.
const CONTEST: Duration = Duration::from_secs(5 * 60);

/// What follows from a status that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Fine,
    /// The own birth has come back: everything retained before it has been read.
    Born,
    /// A session with this number is above the own one: connect with a greater number.
    Outnumber(u64),
    /// Another machine keeps using this id.
    Rival {
        /// Its host name.
        host: Box<str>,
        /// Its session number.
        session: u64,
    },
}

/// The agent's presence at the broker.
#[derive(Debug)]
pub struct Presence {
    facts: AgentFacts,
    abilities: Abilities,
    session: Option<u64>,
    born: bool,
    due: Option<Reason>,
    not_before: Duration,
    last_raise: Option<Duration>,
    /// A number to outnumber later.
    contested: Option<(Duration, u64)>,
}

impl Presence {
    /// Not connected yet.
    #[must_use]
    pub fn new(facts: AgentFacts, abilities: Abilities) -> Self {
        Self {
            facts,
            abilities,
            session: None,
            born: false,
            due: None,
            not_before: Duration::ZERO,
            last_raise: None,
            contested: None,
        }
    }

    /// A connection with this number stands: the birth is due at once.
    pub fn handle_connected(&mut self, number: u64) {
        self.session = Some(number);
        self.born = false;
        self.due = Some(Reason::Start);
        self.not_before = Duration::ZERO;
    }

    /// The connection is gone.
    pub fn handle_away(&mut self) {
        self.session = None;
    }

    /// Something that the status tells has changed.
    pub fn handle_change(&mut self) {
        self.due.get_or_insert(Reason::Update);
    }

    /// The status could not be delivered: it is due again at this time.
    pub fn handle_refused(&mut self, reason: Reason, again: Duration) {
        self.due = Some(reason);
        self.not_before = self.not_before.max(again);
    }

    /// The own status topic holds this.
    pub fn handle_status(&mut self, payload: &[u8], content_type: Option<&str>, mono: Duration) -> Verdict {
        let Some(own) = self.session else { return Verdict::Fine };
        let read: Result<Status, DecodeError> = codec::decode(content_type, payload);
        let status = match read {
            Ok(status) if status.session < NO_SESSION => status,
            // Cleared, or nothing that an agent of this id has said.
            _ => return self.put_right(mono),
        };
        if status.session > own {
            return self.outnumbered(&status, mono);
        }
        match status.state {
            State::Online if status.session == own => {
                let first = !std::mem::replace(&mut self.born, true);
                if first { Verdict::Born } else { Verdict::Fine }
            }
            _ => self.put_right(mono),
        }
    }

    /// What is retained is read first: the birth that is on its way puts it right.
    fn put_right(&mut self, mono: Duration) -> Verdict {
        if self.born && self.due.is_none() {
            self.due = Some(Reason::Reassert);
            self.not_before = self.not_before.max(mono);
        }
        Verdict::Fine
    }

    fn outnumbered(&mut self, status: &Status, mono: Duration) -> Verdict {
        let session = status.session;
        let other = match (&status.agent.machine, &self.facts.machine) {
            (Some(theirs), Some(own)) => theirs != own,
            _ => false,
        };
        let patience = if other { CONTEST } else { OUTNUMBER };
        match self.last_raise.map(|last| last + patience).filter(|at| *at > mono) {
            None => {
                self.last_raise = Some(mono);
                self.contested = None;
                Verdict::Outnumber(session)
            }
            Some(at) => {
                let known = self.contested.is_some();
                let above = self.contested.map_or(session, |(_, above)| above.max(session));
                self.contested = Some((at, above));
                if other && !known {
                    return Verdict::Rival { host: status.agent.host.clone(), session };
                }
                Verdict::Fine
            }
        }
    }

    /// When a word is due, or a number is to be raised.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let word = self.due.as_ref().filter(|_| self.session.is_some()).map(|_| self.not_before);
        let raise = self.contested.map(|(at, _)| at);
        word.into_iter().chain(raise).min()
    }

    /// A number that is to be outnumbered by now.
    pub fn handle_timeout(&mut self, mono: Duration) -> Option<u64> {
        let (_, above) = self.contested.filter(|(at, _)| *at <= mono)?;
        self.contested = None;
        self.last_raise = Some(mono);
        self.session.filter(|own| *own <= above).map(|_| above)
    }

    /// Whether a word is due now.
    #[must_use]
    pub fn is_due(&self, mono: Duration) -> bool {
        self.session.is_some() && self.due.is_some() && self.not_before <= mono
    }

    /// The word that is due now.
    pub fn next_status(
        &mut self,
        now: radar_link::time::Now,
        engine: Option<&EngineFacts>,
        warnings: &[Box<str>],
    ) -> Option<Status> {
        if !self.is_due(now.mono) {
            return None;
        }
        let reason = self.due.take()?;
        if reason == Reason::Reassert {
            self.not_before = now.mono + REASSERT;
        }
        self.status(State::Online, reason, now.wall, engine, warnings)
    }

    /// The word at a stop, for this reason.
    #[must_use]
    pub fn goodbye(&self, reason: Reason, wall: i64, engine: Option<&EngineFacts>) -> Option<Status> {
        self.status(State::Offline, reason, wall, engine, &[])
    }

    fn status(
        &self,
        state: State,
        reason: Reason,
        at: i64,
        engine: Option<&EngineFacts>,
        warnings: &[Box<str>],
    ) -> Option<Status> {
        let agent = self.facts.clone();
        let (engine, warnings) = (engine.cloned(), warnings.to_vec());
        let session = self.session?;
        let Abilities { can, allows } = self.abilities.clone();
        Some(Status { state, reason, session, at, agent, engine, can, allows, warnings })
    }
}

/// The last will of the connection with this number.
#[must_use]
pub fn will(facts: &AgentFacts, abilities: &Abilities, session: u64, at: i64) -> Status {
    let Abilities { can, allows } = abilities.clone();
    Status {
        state: State::Offline,
        reason: Reason::Lost,
        session,
        at,
        agent: facts.clone(),
        engine: None,
        can,
        allows,
        warnings: Vec::new(),
    }
}

/// What the agent can do, and what it lets others do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// What it can do.
    pub can: Vec<Box<str>>,
    /// The words of its policy; none when it takes no commands.
    pub allows: Vec<Box<str>>,
}

impl Abilities {
    /// With these words of its policy it takes commands, without any it does not.
    #[must_use]
    pub fn new(allows: Vec<Box<str>>) -> Self {
        let commands = (!allows.is_empty()).then_some("commands");
        let can = ["events", "snapshot", "resend"].into_iter().chain(commands);
        Self { can: can.map(Into::into).collect(), allows }
    }
}
