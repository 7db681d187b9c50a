//! What goes to the broker next. The order is here and nowhere else.

use std::time::Duration;

use bytes::Bytes;
use radar_link::mqtt::{Message, Qos};
use radar_wire::codec::{self, ContentType, EncodeError, Encoded};
use radar_wire::enroll::Enroll;
use radar_wire::snapshot::Snapshot;
use radar_wire::status::Reason;
use radar_wire::topic::Channel;

use super::super::remark::Remark;
use super::super::streams::{self, Chunk};
use super::super::{Agent, Effect, Life, Stop};
use super::{Class, Flight, Gist};

/// How long a snapshot waits for the engine's first list after a connect.
const SETTLE: Duration = Duration::from_secs(10);

/// How long the broker keeps the token for a bridge that is away.
const TOKEN_EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);

impl Agent {
    /// The next one, when the connection takes one and something is to be said.
    pub(in super::super) fn next_publish(&mut self) -> Option<Effect> {
        self.publishing.connected?;
        if self.publishing.blocked || self.publishing.in_flight.len() >= self.publishing.window {
            return None;
        }
        let (flight, message) = self
            .next_status()
            .or_else(|| self.next_token())
            .or_else(|| self.next_outcome())
            .or_else(|| self.next_answer())
            .or_else(|| self.next_event())
            .or_else(|| self.next_goodbye())
            .or_else(|| self.next_snapshot())
            .or_else(|| self.next_chunk())?;
        let key = self.publishing.next_key();
        self.publishing.in_flight.insert(key, flight);
        Some(Effect::Publish { key, message })
    }

    fn next_status(&mut self) -> Option<(Flight, Message)> {
        if self.stop.is_some() {
            return None;
        }
        let tell = (self.engine(), self.warnings());
        if self.publishing.told != tell {
            self.presence.handle_change();
        }
        let status = self.presence.next_status(self.now, tell.0.as_ref(), &tell.1)?;
        let reason = status.reason.clone();
        if reason == Reason::Reassert {
            self.say(Remark::Reasserted);
        }
        let message = self.encoded(&Channel::Status, codec::encode(&status).ok()?, true);
        self.publishing.told = tell;
        Some((Flight::Status(reason), message))
    }

    fn next_outcome(&mut self) -> Option<(Flight, Message)> {
        if !self.publishing.is_free(Class::Outcome, self.now.mono) {
            return None;
        }
        let (number, outcome) = self.commands.next_outcome()?;
        match codec::encode(outcome) {
            Ok(encoded) => Some((Flight::Outcome(number), self.encoded(&Channel::Outcome, encoded, false))),
            Err(error) => {
                self.commands.handle_too_large(number, &error.to_string());
                None
            }
        }
    }

    fn next_token(&mut self) -> Option<(Flight, Message)> {
        let publishing = &self.publishing;
        let free = publishing.is_free(Class::Enroll, self.now.mono) && !publishing.is_under_way(&Flight::Enroll);
        let token = self.config.enroll.as_ref().filter(|_| free && self.stop.is_none())?;
        let id = self.config.id.as_str().to_owned();
        let encoded = codec::encode(&Enroll { id, token: token.expose().to_owned() }).ok()?;
        let message = Message { expiry: Some(TOKEN_EXPIRY), ..self.encoded(&Channel::Enroll, encoded, false) };
        Some((Flight::Enroll, message))
    }

    fn next_answer(&mut self) -> Option<(Flight, Message)> {
        if !self.publishing.is_free(Class::Event, self.now.mono) || self.stop.is_some() {
            return None;
        }
        let bytes = self.asks.next_answer(&self.outbox, self.now.wall)?;
        Some((Flight::Answer, self.event(bytes)))
    }

    fn next_event(&mut self) -> Option<(Flight, Message)> {
        let leaving = match self.stop {
            None => false,
            Some(Stop::Flushing { until, .. }) => until <= self.now.mono,
            Some(_) => true,
        };
        let probing = self.publishing.is_unheard()
            && self.publishing.in_flight.values().any(|flight| matches!(flight, Flight::Event(_)));
        if leaving || probing || !self.publishing.is_free(Class::Event, self.now.mono) {
            return None;
        }
        let (name, bytes) = self.outbox.send_next()?;
        Some((Flight::Event(name), self.event(bytes)))
    }

    /// Events that wait go first, as long as there is time.
    fn next_goodbye(&mut self) -> Option<(Flight, Message)> {
        let Some(Stop::Flushing { until, give_up }) = self.stop else { return None };
        let free = |class| self.publishing.is_free(class, self.now.mono);
        let flushed =
            (self.outbox.waiting() == 0 || !free(Class::Event)) && (self.commands.is_idle() || !free(Class::Outcome));
        if !flushed && until > self.now.mono {
            return None;
        }
        let reason = if self.commands.is_replaced() { Reason::Update } else { Reason::Stop };
        let status = self.presence.goodbye(reason, self.now.wall, self.engine().as_ref())?;
        let message = self.encoded(&Channel::Status, codec::encode(&status).ok()?, true);
        self.stop = Some(Stop::Leaving { give_up });
        Some((Flight::Goodbye, message))
    }

    fn next_snapshot(&mut self) -> Option<(Flight, Message)> {
        let gist = self.gist()?;
        let connected = self.publishing.connected?;
        let settled = self.is_settled() || connected + SETTLE <= self.now.mono;
        if self.publishing.snapshot.is_none_or(|(_, told)| told != gist) {
            self.publishing.changed.get_or_insert(self.now.mono);
        }
        let due = self.snapshot_due().is_some_and(|at| at <= self.now.mono);
        let publishing = &self.publishing;
        let ready = settled
            && self.stop.is_none()
            && publishing.is_free(Class::Snapshot, self.now.mono)
            && !publishing.is_under_way(&Flight::Snapshot)
            && (!self.outbox.has_unsent() || self.publishing.is_unheard());
        if !ready || !(due || publishing.snapshot_owed) {
            return None;
        }
        self.publishing.changed = None;
        self.publishing.snapshot = Some((self.now.mono, gist));
        self.publishing.snapshot_owed = false;
        let snapshot = Snapshot { time: self.read_until(), ..self.snapshot()? };
        match codec::encode(&snapshot) {
            Ok(encoded) => Some((Flight::Snapshot, self.encoded(&Channel::Snapshot, encoded, true))),
            Err(EncodeError::TooLarge { size, max }) => {
                self.snapshot_too_large(size, max);
                None
            }
            Err(_) => None,
        }
    }

    fn next_chunk(&mut self) -> Option<(Flight, Message)> {
        if matches!(self.stop, Some(Stop::Leaving { .. } | Stop::Left | Stop::Done)) {
            return None;
        }
        let Chunk { ticket, channel, bytes } = self.commands.next_chunk(self.now)?;
        let message = self.message(&channel, ContentType::Cbor, bytes, false);
        Some((Flight::Chunk(ticket), Message { expiry: Some(streams::EXPIRY), ..message }))
    }

    pub(super) fn snapshot_too_large(&mut self, size: usize, max: usize) {
        let remark = Remark::SnapshotTooLarge { size, max };
        if self.publishing.too_large.replace(remark.to_string().into()).is_none() {
            self.say(remark);
        }
    }

    /// The containers are known, or the engine is known not to answer.
    fn is_settled(&self) -> bool {
        match &self.life {
            Life::Open { inventory, .. } => inventory.complete() || self.engine_down,
            Life::Opening(_) => false,
        }
    }

    fn gist(&self) -> Option<Gist> {
        match &self.life {
            Life::Open { sequence, inventory, .. } => {
                let (revision, complete) = (inventory.revision(), inventory.complete());
                Some(Gist { revision, sequence: *sequence, complete })
            }
            Life::Opening(_) => None,
        }
    }

    /// When the next snapshot is due: an interval after the first change that it tells, so that one
    /// tells all of a burst; sooner when the list becomes whole, or is it no more.
    fn snapshot_due(&self) -> Option<Duration> {
        let (at, told) = self.publishing.snapshot?;
        let since = if self.gist()?.complete == told.complete { self.publishing.changed? } else { at };
        Some(since + self.config.snapshot_interval)
    }

    /// When something that waits for time can be published.
    pub(in super::super) fn publish_timeout(&self) -> Option<Duration> {
        let publishing = &self.publishing;
        let connected = publishing.connected?;
        let snapshot = self.snapshot_due();
        let settled = publishing.snapshot_owed.then_some(connected + SETTLE);
        let held = publishing.held.values().copied();
        held.chain(snapshot).chain(settled).filter(|at| *at > self.now.mono).min()
    }

    fn event(&self, bytes: Bytes) -> Message {
        self.message(&Channel::Event, ContentType::Cbor, bytes, false)
    }

    fn encoded(&self, channel: &Channel, encoded: Encoded, retain: bool) -> Message {
        self.message(channel, encoded.content_type, Bytes::from(encoded.bytes), retain)
    }

    fn message(&self, channel: &Channel, content_type: ContentType, payload: Bytes, retain: bool) -> Message {
        Message {
            topic: self.config.prefix.topic(&self.config.id, channel),
            payload,
            retain,
            qos: Qos::AtLeastOnce,
            content_type: Some(content_type.as_str()),
            expiry: None,
        }
    }
}
