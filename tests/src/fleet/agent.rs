//! One simulated agent: a pure core. Its events are a function of their number, so all that it remembers of
//! what it sent is when each event happened, in a ring of bounded size; a number that is no longer there is
//! answered with a gap.

use std::collections::VecDeque;
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::codec::{EncodeError, Encoded, Payload, encode};
use radar_wire::container::{Record, State};
use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use radar_wire::resend::Resend;
use radar_wire::snapshot::{HostFacts, Snapshot};
use radar_wire::status::{AgentFacts, EngineFacts, Presence, Reason, Status};
use radar_wire::topic::{AgentId, Channel};

use super::Counts;
use super::containers;

/// Publishes under way to the broker without its acknowledgement.
pub(super) const WINDOW: usize = 8;

/// Events that can be told again.
const RING: usize = 256;

/// Questions of the bridge that wait for their answer; it asks again for what is dropped.
const QUESTIONS: usize = 8;

/// What all agents of a fleet share.
#[derive(Debug)]
pub(super) struct Kind {
    containers: u16,
    snapshot_interval: Duration,
    paused: Fields,
    running: Fields,
}

impl Kind {
    pub(super) fn new(containers: u16, snapshot_interval: Duration) -> Self {
        let running = containers::record(0, 0, State::Running);
        let paused = Record { state: State::Paused, ..running.clone() };
        Self {
            containers,
            snapshot_interval,
            paused: Fields::between(&running, &paused),
            running: Fields::between(&paused, &running),
        }
    }
}

/// What a connection is to publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) channel: Channel,
    pub(super) retain: bool,
    pub(super) payload: Encoded,
}

/// What the broker's next acknowledgement is for; it acknowledges in the order in which it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Status,
    Snapshot,
    Event(u64),
    Again,
}

#[derive(Debug)]
pub(super) struct Agent {
    index: u32,
    id: AgentId,
    epoch: u64,
    /// The engine's time in nanoseconds of the last events, ending with number `sequence`.
    ring: VecDeque<i64>,
    sequence: u64,
    sent: u64,
    acknowledged: u64,
    session: Option<u64>,
    status_due: Option<Reason>,
    questions: VecDeque<Resend>,
    unanswered: VecDeque<Sent>,
    /// When the last snapshot was made, and the last event that it included.
    told: Option<(Duration, u64)>,
    birth_known: bool,
    snapshot_known: bool,
}

impl Agent {
    pub(super) fn new(index: u32, id: AgentId, now: Now) -> Self {
        Self {
            index,
            id,
            epoch: number(now.wall).max(1),
            ring: VecDeque::new(),
            sequence: 0,
            sent: 0,
            acknowledged: 0,
            session: None,
            status_due: None,
            questions: VecDeque::new(),
            unanswered: VecDeque::new(),
            told: None,
            birth_known: false,
            snapshot_known: false,
        }
    }

    pub(super) fn id(&self) -> &AgentId {
        &self.id
    }

    /// Whether the broker has its birth and its snapshot.
    pub(super) fn online(&self) -> bool {
        self.session.is_some() && self.birth_known && self.snapshot_known
    }

    /// Whether everything that was to be published was, and was acknowledged.
    pub(super) fn settled(&self) -> bool {
        self.session.is_none() || (self.unanswered.is_empty() && self.status_due.is_none())
    }

    pub(super) fn handle_connected(&mut self, session: u64) {
        self.session = Some(session);
        self.unanswered.clear();
        self.sent = self.acknowledged;
        self.status_due = Some(Reason::Start);
        self.told = None;
        self.birth_known = false;
        self.snapshot_known = false;
    }

    pub(super) fn handle_disconnected(&mut self) {
        self.session = None;
        self.questions.clear();
    }

    /// Something happens on the host.
    pub(super) fn handle_happening(&mut self, now: Now) {
        self.sequence += 1;
        // Unlike the clock of the simulation, an engine's is never twice the same.
        let fraction = i64::try_from(self.sequence % 1_000_000).unwrap_or_default();
        self.ring.push_back(now.wall * 1_000_000 + fraction);
        if self.ring.len() > RING {
            self.ring.pop_front();
        }
    }

    pub(super) fn handle_acknowledged(&mut self, counts: &mut Counts) {
        match self.unanswered.pop_front() {
            Some(Sent::Event(last)) => {
                counts.acknowledged += last.saturating_sub(self.acknowledged);
                self.acknowledged = self.acknowledged.max(last);
            }
            Some(Sent::Status) => self.birth_known = true,
            Some(Sent::Snapshot) => self.snapshot_known = true,
            Some(Sent::Again) | None => {}
        }
    }

    pub(super) fn handle_question(&mut self, asked: Resend) {
        if (1..=asked.to).contains(&asked.from) && self.questions.len() < QUESTIONS {
            self.questions.push_back(asked);
        }
    }

    /// A status on its own topic; one of another session that says offline is contradicted.
    pub(super) fn handle_status(&mut self, status: &Status) {
        let other = self.session.is_some_and(|own| own != status.session);
        if other && status.state == Presence::Offline && self.status_due.is_none() {
            self.status_due = Some(Reason::Reassert);
        }
    }

    pub(super) fn handle_stop(&mut self) {
        self.status_due = Some(Reason::Stop);
    }

    /// What is to be published next on the connection that there is.
    pub(super) fn next_publication(
        &mut self,
        kind: &Kind,
        counts: &mut Counts,
        now: Now,
    ) -> Result<Option<Publication>, EncodeError> {
        let Some(session) = self.session.filter(|_| self.unanswered.len() < WINDOW) else { return Ok(None) };
        // Before it leaves, it says all that happened.
        let wait = self.status_due == Some(Reason::Stop) && self.sent < self.sequence;
        if let Some(reason) = self.status_due.take_if(|_| !wait) {
            self.unanswered.push_back(Sent::Status);
            return publication(Channel::Status, true, &self.status(session, reason, now)).map(Some);
        }
        if let Some(event) = self.next_answer(kind, now) {
            self.unanswered.push_back(Sent::Again);
            counts.resent += 1;
            counts.gaps += u64::from(event.action == Action::Gap);
            return publication(Channel::Event, false, &event).map(Some);
        }
        if self.sent < self.sequence {
            let event = self.event(kind, self.sent + 1, self.sequence, now);
            self.sent = event.sequence;
            self.unanswered.push_back(Sent::Event(event.sequence));
            counts.published += 1;
            counts.gaps += u64::from(event.action == Action::Gap);
            return publication(Channel::Event, false, &event).map(Some);
        }
        if self.snapshot_due(kind, now) {
            self.told = Some((now.mono, self.sequence));
            self.unanswered.push_back(Sent::Snapshot);
            counts.snapshots += 1;
            return publication(Channel::Snapshot, true, &self.snapshot(kind, now)).map(Some);
        }
        Ok(None)
    }

    /// What the broker is to say when it loses this connection.
    pub(super) fn will(index: u32, id: &AgentId, session: u64, now: Now) -> Result<Encoded, EncodeError> {
        encode(&status(index, id, session, Reason::Lost, now))
    }

    fn snapshot_due(&self, kind: &Kind, now: Now) -> bool {
        self.told.is_none_or(|(at, sequence)| {
            sequence != self.sequence && now.mono.saturating_sub(at) >= kind.snapshot_interval
        })
    }

    fn status(&self, session: u64, reason: Reason, now: Now) -> Status {
        status(self.index, &self.id, session, reason, now)
    }

    /// The next event or gap that answers a question. Of an earlier life nothing is left.
    fn next_answer(&mut self, kind: &Kind, now: Now) -> Option<Event> {
        let Resend { epoch, from, to } = self.questions.pop_front()?;
        if epoch != self.epoch {
            return Some(gap(epoch, from, to, now));
        }
        let to = to.min(self.sequence);
        let event = (from <= to).then(|| self.event(kind, from, to, now))?;
        if event.sequence < to {
            self.questions.push_front(Resend { epoch, from: event.sequence + 1, to });
        }
        Some(event)
    }

    /// Event `number`, or the gap from `number` on that ends where the ring begins, `to` at the latest.
    fn event(&self, kind: &Kind, number: u64, to: u64, now: Now) -> Event {
        let kept_from = self.sequence + 1 - self.ring.len() as u64;
        let kept = number.checked_sub(kept_from).and_then(|at| self.ring.get(usize::try_from(at).ok()?));
        let Some(time) = kept.copied() else {
            return gap(self.epoch, number, to.min(kept_from - 1), now);
        };
        let (container, paused) = self.container(kind, number);
        Event {
            epoch: self.epoch,
            sequence: number,
            first: None,
            at: time / 1_000_000,
            time: Some(time),
            action: if paused { Action::Pause } else { Action::Unpause },
            id: Some(containers::id(self.index, container)),
            name: Some(containers::name(container)),
            set: if paused { kind.paused.clone() } else { kind.running.clone() },
        }
    }

    /// Which container event `number` is about, and whether it is paused by it.
    fn container(&self, kind: &Kind, number: u64) -> (u16, bool) {
        let turn = (number - 1) / 2 % u64::from(kind.containers);
        (u16::try_from(turn).unwrap_or_default(), number % 2 == 1)
    }

    fn snapshot(&self, kind: &Kind, now: Now) -> Snapshot {
        let paused = (self.sequence % 2 == 1).then(|| self.container(kind, self.sequence).0);
        let state = |container| if paused == Some(container) { State::Paused } else { State::Running };
        let mut records: Vec<Record> =
            (0..kind.containers).map(|container| containers::record(self.index, container, state(container))).collect();
        records.sort_by_key(|record| record.id);
        Snapshot {
            epoch: self.epoch,
            sequence: self.sequence,
            time: self.ring.back().copied(),
            at: now.wall,
            complete: true,
            engine: Some(engine()),
            host: Some(HostFacts {
                cpus: Some(4),
                memory: Some(8 << 30),
                os: Some("Debian GNU/Linux 12 (bookworm)".into()),
                kernel: Some("6.12.47+rpt-rpi-2712".into()),
            }),
            containers: records,
        }
    }
}

fn gap(epoch: u64, first: u64, sequence: u64, now: Now) -> Event {
    Event {
        epoch,
        sequence,
        first: Some(first),
        at: now.wall,
        time: None,
        action: Action::Gap,
        id: None,
        name: None,
        set: Fields::default(),
    }
}

fn publication(channel: Channel, retain: bool, payload: &impl Payload) -> Result<Publication, EncodeError> {
    Ok(Publication { channel, retain, payload: encode(payload)? })
}

fn status(index: u32, id: &AgentId, session: u64, reason: Reason, now: Now) -> Status {
    let offline = matches!(reason, Reason::Stop | Reason::Lost);
    Status {
        state: if offline { Presence::Offline } else { Presence::Online },
        reason,
        session,
        at: now.wall,
        agent: AgentFacts {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: None,
            arch: "aarch64".into(),
            os: "linux".into(),
            host: id.as_str().into(),
            name: format!("Simulated host {index}").into(),
            machine: Some(containers::id(index, u16::MAX).short().into()),
        },
        engine: Some(engine()),
        can: vec!["events".into(), "resend".into()],
        allows: vec!["observe".into()],
        warnings: Vec::new(),
    }
}

fn engine() -> EngineFacts {
    EngineFacts {
        kind: "docker".into(),
        version: "28.5.1".into(),
        api: Some("1.51".into()),
        answers: true,
        unavailable: Vec::new(),
    }
}

fn number(wall: i64) -> u64 {
    u64::try_from(wall).unwrap_or_default()
}

#[cfg(test)]
mod tests;
