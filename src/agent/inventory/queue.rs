//! Events that wait for what the engine says of their containers, in the order in which they
//! came. What cannot be told because there are too many becomes a gap.

use std::collections::VecDeque;

use radar_wire::container::{ContainerId, Record};
use radar_wire::event::Action;

use crate::engine::notice::EngineEvent;

/// The most events that wait.
pub(super) const MOST: usize = 10_000;

/// How many events are remembered to know them again; the engine replays no more than 256.
const REMEMBERED: usize = 300;

/// The queue. Its entries are numbered by arrival.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// The number of the first that waits.
    first: u64,
    /// Events that were given up since the last was taken.
    lost: u64,
    seen: VecDeque<(i64, ContainerId, Action)>,
}

/// What leaves the queue.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    Event(EngineEvent, Truth),
    /// Events are lost here; `None` when nobody knows how many.
    Gap(Option<u64>),
}

/// What an event does to its container.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Truth {
    /// What the event itself says, no more.
    Words,
    /// What the engine said afterwards.
    Record(Box<Record>),
}

#[derive(Debug)]
enum Waiting {
    Event(EngineEvent, Option<Truth>),
    Gap,
}

impl Queue {
    /// Whether the event came before, as the last ones do when the event stream is opened anew.
    pub(super) fn knows(&mut self, event: &EngineEvent) -> bool {
        let same = |(time, id, action): &(i64, ContainerId, Action)| {
            (*time, id, action) == (event.time, &event.id, &event.action)
        };
        if self.seen.iter().rev().any(same) {
            return true;
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((event.time, event.id, event.action.clone()));
        false
    }

    /// Adds an event, which waits for an answer or not. Returns the one that was given up for it.
    pub(super) fn push(&mut self, event: EngineEvent, waits: bool) -> Option<EngineEvent> {
        let given_up = if self.waiting.len() >= MOST { self.give_up() } else { None };
        let truth = if waits { None } else { Some(Truth::Words) };
        self.waiting.push_back(Waiting::Event(event, truth));
        given_up
    }

    /// Adds a gap of unknown size.
    pub(super) fn push_gap(&mut self) {
        self.waiting.push_back(Waiting::Gap);
    }

    /// The number that the next event gets: an answer that is asked for before it came says nothing of it.
    pub(super) fn next_number(&self) -> u64 {
        self.first + self.waiting.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0
    }

    /// Whether an event of this container waits in the queue, for an answer or for its turn.
    pub(super) fn has(&self, id: ContainerId) -> bool {
        self.waiting.iter().any(|waiting| matches!(waiting, Waiting::Event(event, _) if event.id == id))
    }

    /// The containers whose events wait for an answer, in order.
    pub(super) fn awaited(&self) -> impl Iterator<Item = ContainerId> {
        self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Event(event, None) => Some(event.id),
            _ => None,
        })
    }

    /// Gives the answer about a container to its events before `number`: the last of them has made
    /// the container what the record says, the ones before are told in their own words. `known` says whether the
    /// container has a record already; if not, the first event brings it. Returns whether any
    /// event waited for it.
    pub(super) fn answer(&mut self, id: ContainerId, number: u64, record: Option<Box<Record>>, known: bool) -> bool {
        let before = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let mut known = known;
        let mut last = None;
        for waiting in self.waiting.iter_mut().take(before) {
            let Waiting::Event(event, truth) = waiting else {
                continue;
            };
            if event.id != id {
                continue;
            }
            match (&truth, &record) {
                (Some(Truth::Record(_)), _) => known = true,
                (Some(Truth::Words), _) => known &= event.action != Action::Destroy,
                (None, Some(record)) if !known => {
                    known = true;
                    *truth = Some(Truth::Record(record.clone()));
                    last = Some(truth);
                }
                (None, _) => {
                    *truth = Some(Truth::Words);
                    last = Some(truth);
                }
            }
        }
        let waited = last.is_some();
        if let (Some(truth), Some(record)) = (last, record) {
            *truth = Some(Truth::Record(record));
        }
        waited
    }

    /// Stops waiting: what is not answered is told in its own words.
    pub(super) fn settle(&mut self) {
        for waiting in &mut self.waiting {
            if let Waiting::Event(_, truth @ None) = waiting {
                *truth = Some(Truth::Words);
            }
        }
    }

    /// The first entry, unless it still waits.
    pub(super) fn take(&mut self) -> Option<Taken> {
        if let Some(Waiting::Event(_, None)) = self.waiting.front() {
            return None;
        }
        if self.lost > 0 {
            return Some(Taken::Gap(Some(std::mem::take(&mut self.lost))));
        }
        self.first += 1;
        match self.waiting.pop_front()? {
            Waiting::Event(event, truth) => Some(Taken::Event(event, truth.unwrap_or(Truth::Words))),
            Waiting::Gap => Some(Taken::Gap(None)),
        }
    }

    fn give_up(&mut self) -> Option<EngineEvent> {
        self.first += 1;
        match self.waiting.pop_front()? {
            Waiting::Event(event, _) => {
                self.lost += 1;
                Some(event)
            }
            Waiting::Gap => None,
        }
    }
}
