//! The log streams under way: what an engine tells of a log becomes numbered chunks for the broker, one at a time and no
//! faster than the pace, until one of many ends. Pure. Who may ask for one is the business of
//! [`commands`](super::commands), and what else shares the window that of [`publishing`](super::publishing).
//!
//! Nothing is buffered: the engine tells the next piece when the broker has taken the last one. So a reader that is slow,
//! a link that is slow and a container that writes without end all hold back the reading, and never the container.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use ciborium::Value;
use radar_link::mqtt::Delivery;
use radar_wire::codec;
use radar_wire::command::{LogChunk, LogPiece, Progress};
use radar_wire::topic::Channel;

use crate::engine::act::{ActError, Done};

mod end;
mod pace;

use end::End;
use pace::Pace;

/// How many there are at once.
pub(super) const MOST: usize = 4;

/// How long the broker keeps a chunk for a reader that is away.
pub(super) const EXPIRY: Duration = Duration::from_secs(30);

/// A stream that is followed is cut when its pace holds it back for so long, and in any case after the hour.
const FIREHOSE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A stream that is followed and silent says so this often, which shows whether anybody listens.
const SILENCE: Duration = Duration::from_secs(20);

/// What a packet has beside the pieces of its chunk at most, and a chunk beside the text of each piece.
const AROUND: usize = 1024;
const BESIDE: usize = 32;

/// The most room for pieces in a chunk, and the least that makes sense.
const ROOM: usize = 64 * 1024;
const LEAST: usize = 1024;

/// How a stream was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// It goes on with what the container will write.
    pub(super) follow: bool,
    /// The most bytes of text.
    pub(super) limit: Option<u64>,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Let the act tell more.
    More { ticket: u64 },
    /// End the act.
    Cancel { ticket: u64 },
    /// The stream is over.
    Ended { jti: Box<str>, state: Progress, reason: Option<Box<str>>, result: Value },
}

/// A chunk for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its stream's; comes back with what became of it.
    pub(super) ticket: u64,
    /// Where it goes.
    pub(super) channel: Channel,
    /// A [`LogChunk`] in CBOR.
    pub(super) bytes: Bytes,
}

/// The chunk that the broker has not answered yet.
#[derive(Debug)]
struct Flight {
    bytes: Bytes,
    /// Bytes of text.
    text: u64,
    /// It was not taken for publishing, and goes again.
    again: bool,
    last: bool,
}

#[derive(Debug)]
struct Stream {
    ticket: u64,
    jti: Box<str>,
    asked: Asked,
    /// Bytes of text that the engine has told.
    told: u64,
    /// Told, and in no chunk yet.
    held: VecDeque<LogPiece>,
    /// The engine waits until it may tell more.
    owed: bool,
    /// The number of the next chunk.
    number: u64,
    flight: Option<Flight>,
    /// What the broker has: chunks, and bytes of text in them.
    chunks: u64,
    bytes: u64,
    pace: Pace,
    /// The pace holds it back until then.
    resting: Option<Duration>,
    /// The last chunk was made then.
    spoke: Duration,
    /// When a stream that is followed is over.
    until: Duration,
    end: Option<End>,
}

/// All log streams of this host; times are monotonic.
#[derive(Debug)]
pub(super) struct Streams {
    /// A handful, in the order in which they were begun.
    open: Vec<Stream>,
    /// How much a chunk may have for pieces.
    room: usize,
    effects: VecDeque<Effect>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self { open: Vec::new(), room: ROOM, effects: VecDeque::new() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// There is a broker, which takes packets of this size.
    pub(super) fn handle_connected(&mut self, max_packet: Option<u32>) {
        self.room = max_packet.map_or(ROOM, |max| (max as usize).saturating_sub(AROUND).min(ROOM));
    }

    /// The act of this ticket is about to tell a log.
    pub(super) fn open(&mut self, ticket: u64, jti: Box<str>, asked: Asked, now: Duration) {
        self.open.push(Stream {
            ticket,
            jti,
            asked,
            told: 0,
            held: VecDeque::new(),
            owed: false,
            number: 0,
            flight: None,
            chunks: 0,
            bytes: 0,
            pace: Pace::default(),
            resting: None,
            spoke: now,
            until: now + LONGEST,
            end: None,
        });
    }

    /// The act tells some of its log, and waits.
    pub(super) fn handle_told(&mut self, ticket: u64, pieces: Vec<LogPiece>) {
        let Some(stream) = self.get(ticket).filter(|stream| stream.end.is_none()) else { return };
        stream.owed = true;
        for mut piece in pieces {
            let left = stream.asked.limit.map_or(u64::MAX, |limit| limit.saturating_sub(stream.told));
            let length = piece.text.len();
            let cut = cut(&mut piece, usize::try_from(left).unwrap_or(usize::MAX));
            stream.told += piece.text.len() as u64;
            stream.held.push_back(piece);
            if cut.is_some() || length as u64 == left {
                return self.finish(ticket, End::Limit);
            }
        }
    }

    /// The act has ended. Whether it was that of a stream.
    pub(super) fn handle_acted(&mut self, ticket: u64, result: &Result<Done, ActError>) -> bool {
        let Some(stream) = self.get(ticket) else { return false };
        let end = match result {
            Ok(_) => End::Whole,
            Err(ActError { kind, text }) => End::Engine(*kind, text.clone()),
        };
        stream.end.get_or_insert(end);
        true
    }

    /// Ends the stream of this command. Whether there is one.
    pub(super) fn cancel(&mut self, jti: &str) -> bool {
        let found = self.open.iter().find(|stream| &*stream.jti == jti).map(|stream| stream.ticket);
        found.into_iter().for_each(|ticket| self.finish(ticket, End::Cancelled));
        found.is_some()
    }

    /// The agent stops: all are to end.
    pub(super) fn handle_stop(&mut self) {
        for at in 0..self.open.len() {
            self.finish(self.open[at].ticket, End::Stopped);
        }
    }

    /// The connection is gone, and with it who listened.
    pub(super) fn handle_away(&mut self) {
        while let Some(stream) = self.open.first() {
            self.close(stream.ticket, End::LinkLost);
        }
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        for at in 0..self.open.len() {
            let stream = &mut self.open[at];
            let ticket = stream.ticket;
            if stream.asked.follow && stream.until <= now {
                self.finish(ticket, End::Hour);
            } else if stream.resting.is_some_and(|until| until <= now) {
                stream.resting = None;
                self.go_on(ticket);
            }
        }
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.open.iter().filter_map(Stream::poll_timeout).min()
    }

    /// The next chunk that can be published.
    pub(super) fn next_chunk(&mut self, now: Duration) -> Option<Chunk> {
        loop {
            let stream = self.open.iter_mut().find(|stream| stream.has_chunk(now))?;
            let ticket = stream.ticket;
            if stream.flight.is_none() {
                stream.flight = stream.next_flight(self.room, now);
            }
            let Some(flight) = &mut stream.flight else {
                self.close(ticket, End::TooLarge);
                continue;
            };
            flight.again = false;
            return Some(Chunk { ticket, channel: Channel::Log(stream.jti.clone()), bytes: flight.bytes.clone() });
        }
    }

    /// What the broker says of the chunk of this stream that is under way.
    pub(super) fn handle_delivered(&mut self, ticket: u64, outcome: Delivery, now: Duration) {
        let Some(stream) = self.get(ticket) else { return };
        let Some(flight) = stream.flight.take() else { return };
        match outcome {
            Delivery::Refused(reason) => return self.close(ticket, End::Refused(reason.into())),
            // Who has asked for the end need not wait for it.
            Delivery::NoSubscriber if stream.end.as_ref().is_none_or(|end| *end == End::Whole) => {
                return self.close(ticket, End::Nobody);
            }
            Delivery::NoSubscriber | Delivery::Accepted => {}
        }
        stream.chunks += 1;
        stream.bytes += flight.text;
        if flight.last {
            let end = stream.end.clone().unwrap_or(End::Whole);
            return self.close(ticket, end);
        }
        stream.resting = stream.pace.spend(flight.bytes.len() as u64, now);
        let held_back = stream.resting.is_some() && stream.pace.held_for(now) >= FIREHOSE;
        if stream.asked.follow && held_back {
            self.finish(ticket, End::Firehose);
        } else if stream.resting.is_none() {
            self.go_on(ticket);
        }
    }

    /// The chunk of this stream was not taken for publishing.
    pub(super) fn handle_not_taken(&mut self, ticket: u64) {
        let flight = self.get(ticket).and_then(|stream| stream.flight.as_mut());
        flight.into_iter().for_each(|flight| flight.again = true);
    }

    /// The broker would end the connection over the chunk of this stream.
    pub(super) fn handle_too_large(&mut self, ticket: u64) {
        self.close(ticket, End::TooLarge);
    }

    /// What is to be done next.
    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn get(&mut self, ticket: u64) -> Option<&mut Stream> {
        self.open.iter_mut().find(|stream| stream.ticket == ticket)
    }

    /// What was told is published; the engine may tell more.
    fn go_on(&mut self, ticket: u64) {
        let Some(stream) = self.get(ticket) else { return };
        if stream.held.is_empty() && stream.end.is_none() && std::mem::take(&mut stream.owed) {
            self.effects.push_back(Effect::More { ticket });
        }
    }

    /// Ends a stream, with a last chunk that says so.
    fn finish(&mut self, ticket: u64, end: End) {
        let Some(stream) = self.get(ticket).filter(|stream| stream.end.is_none()) else { return };
        stream.end = Some(end);
        self.effects.push_back(Effect::Cancel { ticket });
    }

    /// Ends a stream without a word to who listens.
    fn close(&mut self, ticket: u64, end: End) {
        let Some(at) = self.open.iter().position(|stream| stream.ticket == ticket) else { return };
        let stream = self.open.remove(at);
        if stream.end.is_none() {
            self.effects.push_back(Effect::Cancel { ticket });
        }
        let (state, reason) = end.outcome(stream.asked);
        let number = |number: u64| Value::from(number);
        let result =
            [("chunks", number(stream.chunks)), ("bytes", number(stream.bytes)), ("end", (*end.word()).into())];
        let result = Value::Map(result.map(|(key, value)| (key.into(), value)).to_vec());
        self.effects.push_back(Effect::Ended { jti: stream.jti, state, reason, result });
    }
}

impl Stream {
    fn has_chunk(&self, now: Duration) -> bool {
        match &self.flight {
            Some(flight) => flight.again,
            None => {
                let rests = self.resting.is_some_and(|until| until > now);
                let speaks = !self.held.is_empty() || self.silent_until().is_some_and(|until| until <= now);
                self.end.is_some() || !rests && speaks
            }
        }
    }

    /// What is held becomes a chunk, as far as it fits; none when nothing does.
    fn next_flight(&mut self, room: usize, now: Duration) -> Option<Flight> {
        let (mut pieces, mut left, mut text) = (Vec::new(), room, 0);
        while let Some(mut piece) = self.held.pop_front() {
            let rest = cut(&mut piece, left.saturating_sub(BESIDE));
            left = left.saturating_sub(BESIDE + piece.text.len());
            text += piece.text.len() as u64;
            if !piece.text.is_empty() {
                pieces.push(piece);
            }
            if let Some(rest) = rest {
                self.held.push_front(rest);
                break;
            }
        }
        let last = self.end.is_some() && self.held.is_empty();
        let end = self.end.as_ref().filter(|_| last).map(End::word);
        let chunk = LogChunk { number: self.number, pieces, end };
        let bytes = codec::encode(&chunk).ok().filter(|_| room >= LEAST)?.bytes.into();
        self.number += 1;
        self.spoke = now;
        Some(Flight { bytes, text, again: false, last })
    }

    /// Until when it may be silent; only one that waits for the container.
    fn silent_until(&self) -> Option<Duration> {
        let waits = self.asked.follow && self.end.is_none() && self.flight.is_none() && self.held.is_empty();
        (waits && self.resting.is_none()).then_some(self.spoke + SILENCE)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let until = (self.asked.follow && self.end.is_none()).then_some(self.until);
        [self.silent_until(), self.resting, until].into_iter().flatten().min()
    }
}

/// Cuts a piece to this many bytes; what was behind.
fn cut(piece: &mut LogPiece, most: usize) -> Option<LogPiece> {
    if piece.text.len() <= most {
        return None;
    }
    let (text, rest) = piece.text.split_at(piece.text.floor_char_boundary(most));
    let rest = LogPiece { stream: piece.stream.clone(), text: rest.into() };
    piece.text = text.into();
    Some(rest)
}

#[cfg(test)]
mod tests;
