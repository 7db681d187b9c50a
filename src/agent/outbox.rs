//! Events until the broker has them, and a while longer. The waiting ones are bounded in number
//! and bytes: over a bound the oldest go, and a gap takes their place. The acknowledged ones stay
//! in a ring, for a bridge whose broker forgot them. Nothing here knows a topic, a file or a time.

use std::collections::VecDeque;

use bytes::Bytes;

mod entry;

pub use entry::{Body, Entry, Name, Standing, gap_bytes};

/// How many gaps that cannot be joined may stand over the bound, before the oldest goes unsaid.
const SPARE: usize = 32;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most entries that wait for the broker.
    pub events: usize,
    /// The most bytes of them.
    pub bytes: usize,
    /// The most acknowledged entries that are kept.
    pub ring_events: usize,
    /// The most bytes of them.
    pub ring_bytes: usize,
}

/// The events of an agent, by name: the acknowledged ones before the waiting ones.
#[derive(Debug)]
pub struct Outbox {
    bounds: Bounds,
    ring: VecDeque<Entry>,
    ring_bytes: usize,
    /// The first is not acknowledged.
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    /// No entry before this index of `waiting` is to be sent.
    next: usize,
}

/// What a number of an epoch is to a bridge that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is here: the bytes, and the last number that they stand for.
    Here(Bytes, u64),
    /// It is on its way, up to this number.
    Coming(u64),
    /// It is not here, nor is any up to this number.
    Lost(u64),
}

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ring: VecDeque::new(), ring_bytes: 0, waiting: VecDeque::new(), waiting_bytes: 0, next: 0 }
    }

    /// Adds an entry behind all others; its name is greater than theirs. Returns how many
    /// entries had to go for it.
    pub fn push(&mut self, entry: Entry) -> u64 {
        debug_assert!(self.last().is_none_or(|last| last < entry.name()), "names grow");
        if entry.standing == Standing::Acknowledged && self.waiting.is_empty() {
            self.keep(entry);
            return 0;
        }
        self.waiting_bytes += entry.size();
        self.waiting.push_back(entry);
        self.make_room()
    }

    /// The name of the newest entry.
    #[must_use]
    pub fn last(&self) -> Option<Name> {
        self.waiting.back().or(self.ring.back()).map(Entry::name)
    }

    /// Whether there is something to send.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.waiting.iter().skip(self.next).any(Entry::is_unsent)
    }

    /// How many entries the broker has not acknowledged.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next entry to send; it counts as sent from here on.
    pub fn send_next(&mut self) -> Option<(Name, Bytes)> {
        while let Some(entry) = self.waiting.get_mut(self.next) {
            self.next += 1;
            if entry.is_unsent() {
                entry.standing = Standing::Sent;
                entry.tried = true;
                return Some((entry.name(), entry.bytes()));
            }
        }
        None
    }

    /// The broker has it.
    pub fn acknowledge(&mut self, name: Name) {
        let Some(at) = find(&self.waiting, name) else { return };
        self.waiting[at].standing = Standing::Acknowledged;
        while self.waiting.front().is_some_and(|entry| entry.standing == Standing::Acknowledged) {
            if let Some(entry) = self.waiting.pop_front() {
                self.waiting_bytes -= entry.size();
                self.next = self.next.saturating_sub(1);
                self.keep(entry);
            }
        }
    }

    /// The broker did not take it; it is to be sent again.
    pub fn take_back(&mut self, name: Name) {
        if let Some(at) = find(&self.waiting, name)
            && self.waiting[at].standing == Standing::Sent
        {
            self.waiting[at].standing = Standing::Waiting;
            self.next = self.next.min(at);
        }
    }

    /// The connection is gone: what was sent and not acknowledged is to be sent again, in order.
    pub fn take_all_back(&mut self) {
        for entry in &mut self.waiting {
            if entry.standing == Standing::Sent {
                entry.standing = Standing::Waiting;
            }
        }
        self.next = 0;
    }

    /// It can never be sent: a gap takes its place.
    pub fn give_up(&mut self, name: Name) {
        if let Some(at) = find(&self.waiting, name) {
            self.replace(at, self.waiting[at].as_gap());
            self.take_back(name);
        }
    }

    /// What `number` of `epoch` is.
    #[must_use]
    pub fn find(&self, epoch: u64, number: u64) -> Found {
        let name = Name { epoch, sequence: number };
        if let Some(entry) = at_or_after(&self.ring, name).filter(|entry| entry.epoch == epoch) {
            return match entry.first.checked_sub(1) {
                Some(before) if before >= number => Found::Lost(before),
                _ => Found::Here(entry.bytes(), entry.last),
            };
        }
        match at_or_after(&self.waiting, name).filter(|entry| entry.epoch == epoch) {
            Some(entry) if entry.first > number => Found::Lost(entry.first - 1),
            Some(entry) => Found::Coming(entry.last),
            None => Found::Lost(u64::MAX),
        }
    }

    /// What the broker has not acknowledged, in order, from the one after `name` on.
    pub fn waiting_after(&self, name: Option<Name>) -> impl Iterator<Item = &Entry> {
        let from = name.map_or(0, |name| self.waiting.partition_point(|entry| entry.name() <= name));
        self.waiting.range(from..)
    }

    /// The acknowledged ones, in order.
    pub fn ring(&self) -> impl Iterator<Item = &Entry> {
        self.ring.iter()
    }

    fn keep(&mut self, mut entry: Entry) {
        entry.standing = Standing::Acknowledged;
        self.ring_bytes += entry.size();
        self.ring.push_back(entry);
        while self.ring.len() > self.bounds.ring_events || self.ring_bytes > self.bounds.ring_bytes {
            let Some(entry) = self.ring.pop_front() else { break };
            self.ring_bytes -= entry.size();
        }
    }

    /// Makes gaps of the oldest entries that were never sent, and one gap of neighbours. What
    /// was sent once may have arrived, so it is left: there is no more of it than the window.
    fn make_room(&mut self) -> u64 {
        let mut lost = 0;
        let mut at = self.waiting.partition_point(|entry| entry.tried);
        while self.waiting.len() > self.bounds.events || self.waiting_bytes > self.bounds.bytes {
            let Some(entry) = self.waiting.get(at) else { break };
            if matches!(entry.body, Body::Event(_)) {
                let gap = entry.as_gap();
                self.replace(at, gap);
                lost += 1;
                continue;
            }
            let joined = self.waiting.get(at + 1).and_then(|next| entry.join(next));
            match joined {
                Some(joined) => {
                    lost += u64::from(matches!(self.waiting[at + 1].body, Body::Event(_)));
                    self.replace(at, joined);
                    self.remove(at + 1);
                }
                None => at += 1,
            }
        }
        // Marks and gaps of many epochs alone: there is nothing left to join.
        let first = self.waiting.partition_point(|entry| entry.tried);
        while self.waiting.len() > self.bounds.events + SPARE && first < self.waiting.len() {
            self.remove(first);
        }
        lost
    }

    fn replace(&mut self, at: usize, entry: Entry) {
        self.waiting_bytes -= self.waiting[at].size();
        self.waiting_bytes += entry.size();
        self.waiting[at] = entry;
    }

    fn remove(&mut self, at: usize) {
        if let Some(entry) = self.waiting.remove(at) {
            self.waiting_bytes -= entry.size();
        }
        self.next = self.next.min(at);
    }
}

fn find(entries: &VecDeque<Entry>, name: Name) -> Option<usize> {
    entries.binary_search_by_key(&name, Entry::name).ok()
}

fn at_or_after(entries: &VecDeque<Entry>, name: Name) -> Option<&Entry> {
    entries.get(entries.partition_point(|entry| entry.name() < name))
}

#[cfg(test)]
mod tests;
