//! A set of sequence numbers, kept as ranges: what was received is mostly one range, so it costs a few bytes
//! however long an agent lives.

use serde::{Deserialize, Serialize};

/// A range of numbers, both ends included.
pub(crate) type Range = (u64, u64);

/// Numbers as ranges: ascending, apart from each other by at least one number. Numbers are below 2^53.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Numbers(Vec<Range>);

impl Numbers {
    /// Adds a range, and returns which parts of it are new.
    pub(super) fn insert(&mut self, first: u64, last: u64) -> Vec<Range> {
        let new: Vec<_> = self.absent(first, last).collect();
        if !new.is_empty() {
            let from = self.0.partition_point(|range| range.1 + 1 < first);
            let to = self.0.partition_point(|range| range.0 <= last + 1);
            let merged = match self.0.get(from..to) {
                Some([one]) => (first.min(one.0), last.max(one.1)),
                Some([start, .., end]) => (first.min(start.0), last.max(end.1)),
                _ => (first, last),
            };
            self.0.splice(from..to, [merged]);
        }
        new
    }

    /// Takes one number out; whether it was there.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        let Some(at) = self.0.iter().position(|&(first, last)| (first..=last).contains(&number)) else {
            return false;
        };
        let (first, last) = self.0[at];
        let rest = [(first, number.wrapping_sub(1)), (number + 1, last)];
        self.0.splice(at..=at, rest.into_iter().filter(|&(from, to)| first <= from && from <= to && to <= last));
        true
    }

    /// Takes the lowest range out.
    pub(super) fn remove_lowest(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }

    /// The parts of `first..=last` that are not in the set, ascending.
    pub(super) fn absent(&self, first: u64, last: u64) -> impl Iterator<Item = Range> {
        let start = self.0.partition_point(|range| range.1 < first);
        let inside = self.0[start..].iter().copied().take_while(move |range| range.0 <= last);
        let mut next = first;
        inside.chain([(last + 1, last + 1)]).filter_map(move |(from, to)| {
            let hole = (next < from).then(|| (next, from - 1));
            next = to + 1;
            hole
        })
    }

    /// How many ranges there are.
    pub(super) fn ranges(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_grow_together_and_come_apart() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.insert(5, 9), [(5, 9)]);
        assert_eq!(numbers.insert(1, 3), [(1, 3)]);
        assert_eq!(numbers.insert(2, 12), [(4, 4), (10, 12)]);
        assert_eq!(numbers, Numbers(vec![(1, 12)]));
        assert!(numbers.remove(1) && numbers.remove(7) && !numbers.remove(7));
        assert_eq!(numbers, Numbers(vec![(2, 6), (8, 12)]));
        assert_eq!(numbers.absent(1, 14).collect::<Vec<_>>(), [(1, 1), (7, 7), (13, 14)]);
        assert_eq!(numbers.absent(3, 5).count(), 0);
    }

    proptest! {
        #[test]
        fn ranges_are_a_set(steps in vec((any::<bool>(), 1u64..40, 0u64..6), 0..60)) {
            let (mut numbers, mut set) = (Numbers::default(), BTreeSet::new());
            for (insert, first, more) in steps {
                if insert {
                    let expected: Vec<_> = (first..=first + more).filter(|n| set.insert(*n)).collect();
                    let new: Vec<_> = numbers.insert(first, first + more).into_iter().flat_map(|(a, b)| a..=b).collect();
                    prop_assert_eq!(new, expected);
                } else {
                    prop_assert_eq!(numbers.remove(first), set.remove(&first));
                }
                prop_assert!(numbers.0.windows(2).all(|two| two[0].1 + 1 < two[1].0), "{:?}", numbers);
                for number in 1..50 {
                    prop_assert_eq!(numbers.absent(number, number).count() == 0, set.contains(&number));
                }
                let absent: Vec<_> = numbers.absent(1, 50).flat_map(|(a, b)| a..=b).collect();
                prop_assert_eq!(absent, (1..=50).filter(|n| !set.contains(n)).collect::<Vec<_>>());
            }
        }
    }
}
