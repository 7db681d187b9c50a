//! Which of an agent's numbers are accounted for. Every epoch begins with 1, so whatever lies between 1 and the
//! highest number heard of, and was neither received nor declared lost by a gap, is missing and is asked for: also in
//! an epoch that is over, and also when the agent was met in the middle of one, since its ring may still have it.

use serde::{Deserialize, Serialize};

use super::numbers::{Numbers, Range};

/// Epochs that are followed per agent; an agent that restarts in a loop makes many.
const EPOCHS: usize = 16;
/// Ranges that are followed per epoch; more holes than this are given up, the oldest first.
const RANGES: usize = 128;

/// What is known of an agent's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tracking {
    /// In the order in which they were first heard of.
    epochs: Vec<Epoch>,
    /// The order that the next epoch gets.
    next: u64,
    /// The highest epoch that was let go of, 0 for none: what comes from it late is kept without being followed.
    forgotten: u64,
}

/// One life of the agent's sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Epoch {
    epoch: u64,
    order: u64,
    /// The highest number heard of.
    high: u64,
    /// What was received or is lost.
    closed: Numbers,
    /// What is lost: a part of `closed`.
    lost: Numbers,
}

/// What a number is to its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was not known.
    New,
    /// It was lost, and came after all.
    Recovered,
    /// It is known.
    Again,
    /// Its epoch is not followed any more, so nobody can tell.
    Unfollowed,
}

/// Numbers of an epoch that are missing, or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hole {
    pub(super) epoch: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Hole {
    /// How many numbers it has.
    pub(super) fn size(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// A place in an agent's history: the order of the epoch, and the number in it.
pub(super) type Place = (u64, u64);

impl Tracking {
    /// Takes note of a received number.
    pub(super) fn receive(&mut self, epoch: u64, number: u64) -> Seen {
        let Some(epoch) = self.follow(epoch) else {
            return Seen::Unfollowed;
        };
        epoch.high = epoch.high.max(number);
        if epoch.lost.remove(number) {
            Seen::Recovered
        } else if epoch.closed.insert(number, number).is_empty() {
            Seen::Again
        } else {
            Seen::New
        }
    }

    /// Takes note that `first..=last` are lost, and returns those of them that were missing until now.
    pub(super) fn lose(&mut self, epoch: u64, first: u64, last: u64) -> Vec<Range> {
        let Some(epoch) = self.follow(epoch) else {
            // Its holes were given up when it was let go of.
            return Vec::new();
        };
        epoch.high = epoch.high.max(last);
        let new = epoch.closed.insert(first, last);
        for &(first, last) in &new {
            epoch.lose(first, last);
        }
        new
    }

    /// Takes note that the epoch has come to `number`; whether that is news.
    pub(super) fn reach(&mut self, epoch: u64, number: u64) -> bool {
        let known = self.epochs.iter().any(|known| known.epoch == epoch);
        let Some(epoch) = self.follow(epoch) else {
            return false;
        };
        let news = !known || epoch.high < number;
        epoch.high = epoch.high.max(number);
        news
    }

    /// The place of a number; `None` in an epoch that is not followed.
    pub(super) fn place(&self, epoch: u64, number: u64) -> Option<Place> {
        self.epochs.iter().rev().find(|known| known.epoch == epoch).map(|known| (known.order, number))
    }

    /// What is missing, by order of the epochs.
    pub(super) fn holes(&self) -> impl Iterator<Item = Hole> {
        self.epochs.iter().flat_map(Epoch::holes)
    }

    /// Whether a part of the hole is still missing.
    pub(super) fn misses(&self, hole: Hole) -> bool {
        let epoch = self.epochs.iter().find(|known| known.epoch == hole.epoch);
        epoch.is_some_and(|epoch| epoch.closed.absent(hole.first, hole.last).next().is_some())
    }

    /// Lets go of what is over the bounds, and returns the numbers that are given up thereby.
    pub(super) fn prune(&mut self) -> Vec<Hole> {
        let mut given_up = Vec::new();
        for epoch in &mut self.epochs {
            while epoch.closed.ranges() > RANGES {
                let Some(hole) = epoch.holes().next() else { break };
                epoch.closed.insert(hole.first, hole.last);
                epoch.lose(hole.first, hole.last);
                given_up.push(hole);
            }
        }
        while self.epochs.len() > EPOCHS {
            let older = &self.epochs[..EPOCHS];
            let complete = older.iter().position(|epoch| epoch.holes().next().is_none());
            let gone = self.epochs.remove(complete.unwrap_or(0));
            self.forgotten = self.forgotten.max(gone.epoch);
            given_up.extend(gone.holes());
        }
        given_up
    }

    /// The latest epoch and the highest number heard of in it.
    pub(super) fn latest(&self) -> Option<(u64, u64)> {
        self.epochs.last().map(|epoch| (epoch.epoch, epoch.high))
    }

    /// The form in which it is stored.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Numbers always have a CBOR form, and a vector takes all bytes.
        let _ = ciborium::into_writer(self, &mut bytes);
        bytes
    }

    /// What was stored. What nobody can read is nothing: the next snapshot tells how far the agent is, and what was
    /// received already is dropped by the store when it comes again.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        ciborium::from_reader(bytes).unwrap_or_default()
    }

    fn follow(&mut self, epoch: u64) -> Option<&mut Epoch> {
        let at = match self.epochs.iter().rposition(|known| known.epoch == epoch) {
            Some(at) => at,
            None if epoch <= self.forgotten => return None,
            None => {
                let (closed, lost) = Default::default();
                self.epochs.push(Epoch { epoch, order: self.next, high: 0, closed, lost });
                self.next += 1;
                self.epochs.len() - 1
            }
        };
        self.epochs.get_mut(at)
    }
}

impl Epoch {
    fn holes(&self) -> impl Iterator<Item = Hole> {
        let epoch = self.epoch;
        self.closed.absent(1, self.high).map(move |(first, last)| Hole { epoch, first, last })
    }

    fn lose(&mut self, first: u64, last: u64) {
        self.lost.insert(first, last);
        while self.lost.ranges() > RANGES {
            self.lost.remove_lowest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // E1
    #[test]
    fn an_agent_that_leaves_every_other_number_out_does_not_grow_what_is_kept_of_it() {
        let mut tracking = Tracking::default();
        let mut most = 0;
        for number in (1..20_000).step_by(2) {
            tracking.receive(7, number);
            tracking.prune();
            most = most.max(tracking.to_bytes().len());
        }
        assert!(most < 8 * 1024, "{most}");
    }
}
