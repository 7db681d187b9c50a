//! The pulls that are under way, as far as they are told: at most twice a second, which holds the engine's room back,
//! and at least every half minute, so that who asked knows that it goes on. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use ciborium::Value;

use crate::engine::act::Pulled;

/// The shortest time between two words about one pull.
const PACE: Duration = Duration::from_millis(500);

/// The longest.
const REPEAT: Duration = Duration::from_secs(30);

/// All pulls, by their tickets.
#[derive(Debug, Default)]
pub(super) struct Pulls(BTreeMap<u64, Pull>);

#[derive(Debug)]
struct Pull {
    last: Pulled,
    /// When it was told.
    told: Duration,
    /// The engine's room waits to be asked for more.
    held: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The engine's room may tell more.
    More { ticket: u64 },
    /// Nothing new was heard: tell this again.
    Tell { ticket: u64, pulled: Pulled },
}

impl Pulls {
    pub(super) fn begin(&mut self, ticket: u64, mono: Duration) {
        self.0.insert(ticket, Pull { last: Pulled::default(), told: mono, held: false });
    }

    pub(super) fn end(&mut self, ticket: u64) {
        self.0.remove(&ticket);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// How far it is; returns whether that is one of these pulls, which is then told.
    pub(super) fn handle_told(&mut self, ticket: u64, pulled: Pulled, mono: Duration) -> bool {
        let Some(pull) = self.0.get_mut(&ticket) else { return false };
        *pull = Pull { last: pulled, told: mono, held: true };
        true
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.0.values().map(Pull::due).min()
    }

    /// What is due next, if anything is.
    pub(super) fn next_due(&mut self, mono: Duration) -> Option<Due> {
        let (ticket, pull) = self.0.iter_mut().find(|(_, pull)| pull.due() <= mono)?;
        let ticket = *ticket;
        if std::mem::take(&mut pull.held) {
            return Some(Due::More { ticket });
        }
        pull.told = mono;
        Some(Due::Tell { ticket, pulled: pull.last })
    }
}

impl Pull {
    fn due(&self) -> Duration {
        self.told + if self.held { PACE } else { REPEAT }
    }
}

/// The result of a word about a pull.
pub(super) fn result(pulled: Pulled) -> Value {
    let Pulled { layers, done, current, total } = pulled;
    let fields = [("layers", layers), ("done", done), ("current", current), ("total", total)];
    Value::Map(fields.map(|(name, number)| (name.into(), number.into())).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milli(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn some(current: u64) -> Pulled {
        Pulled { layers: 1, done: 0, current, total: 100 }
    }

    // DM12
    #[test]
    fn a_pull_is_told_at_most_twice_a_second_and_at_least_every_half_minute() {
        let mut pulls = Pulls::default();
        pulls.begin(7, milli(0));
        assert_eq!(pulls.poll_timeout(), Some(REPEAT));
        assert!(pulls.handle_told(7, some(1), milli(100)));
        assert_eq!(pulls.next_due(milli(599)), None);
        assert_eq!(pulls.next_due(milli(600)), Some(Due::More { ticket: 7 }));
        assert_eq!(pulls.poll_timeout(), Some(milli(30_100)));
        assert_eq!(pulls.next_due(milli(30_099)), None);
        assert_eq!(pulls.next_due(milli(30_100)), Some(Due::Tell { ticket: 7, pulled: some(1) }));
        assert_eq!(pulls.poll_timeout(), Some(milli(60_100)));
        assert!(pulls.handle_told(7, some(2), milli(40_000)));
        assert_eq!(pulls.next_due(milli(40_500)), Some(Due::More { ticket: 7 }));
        pulls.end(7);
        assert_eq!((pulls.poll_timeout(), pulls.next_due(milli(1_000_000))), (None, None));
        assert!(!pulls.handle_told(7, some(3), milli(50_000)), "what comes late is nothing");
    }
}
