//! Which containers are to be inspected, and which are being: each once at a time, few together.

use std::collections::{BTreeMap, VecDeque};

use radar_wire::container::ContainerId;

/// The most inspects under way.
const MOST: usize = 4;

/// The inspects.
#[derive(Debug, Default)]
pub(super) struct Asks {
    wanted: VecDeque<ContainerId>,
    under_way: BTreeMap<ContainerId, u64>,
}

impl Asks {
    /// Wants a container inspected, from now on: an inspect that is under way does not count.
    pub(super) fn want(&mut self, id: ContainerId) {
        if !self.wanted.contains(&id) {
            self.wanted.push_back(id);
        }
    }

    /// The next inspect to begin, while events up to `number` have come.
    pub(super) fn begin(&mut self, number: u64) -> Option<ContainerId> {
        if self.under_way.len() >= MOST {
            return None;
        }
        let next = self.wanted.iter().position(|id| !self.under_way.contains_key(id))?;
        let id = self.wanted.remove(next)?;
        self.under_way.insert(id, number);
        Some(id)
    }

    /// An inspect ended; returns the number with which it began, unless nobody waits for it.
    pub(super) fn end(&mut self, id: ContainerId) -> Option<u64> {
        self.under_way.remove(&id)
    }

    /// Nothing that was asked will be answered.
    pub(super) fn void(&mut self) {
        self.wanted.clear();
        self.under_way.clear();
    }
}
