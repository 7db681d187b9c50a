//! Notices that another client uses our id, when the broker does not say so.
//!
//! Mosquitto before 2.0.15 closes the older connection without a word, newer ones say it in a
//! form that rumqttc 0.25 drops. Such an end looks like any broken line, except that it
//! comes again and again soon after each accepted connection: two clients with one id throw
//! each other out as fast as they return.

use std::time::Duration;

/// Counts the connections in a row that the broker accepted and soon closed without a word.
#[derive(Debug)]
pub(super) struct Rival {
    limit: u32,
    short: Duration,
    count: u32,
}

/// How an attempt or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The broker closed an accepted connection without a word, so long after accepting it.
    Silent(Duration),
    /// In any other way.
    Other,
}

impl Rival {
    /// Suspects a rival from the `limit`-th end on, when each connection was not longer than
    /// `short`, which is to be the longest wait before a rival returns.
    pub(super) fn new(limit: u32, short: Duration) -> Self {
        Self { limit, short, count: 0 }
    }

    /// Whether this end is the work of a rival. Once one is known, a long connection does not
    /// clear it: it stood because the rival was waiting.
    pub(super) fn suspected(&mut self, ending: Ending) -> bool {
        match ending {
            Ending::Silent(lasted) if lasted <= self.short => {
                self.count = self.count.saturating_add(1);
                self.count >= self.limit
            }
            Ending::Silent(_) if self.count >= self.limit => false,
            Ending::Silent(_) | Ending::Other => {
                self.count = 0;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `s`: a short connection, `l`: a long one, both closed without a word; `o`: any other end.
    fn check(script: &str, expected: &str) {
        let mut rival = Rival::new(3, Duration::from_secs(60));
        let seen: String = script
            .chars()
            .map(|end| match end {
                's' => Ending::Silent(Duration::from_secs(4)),
                'l' => Ending::Silent(Duration::from_secs(61)),
                _ => Ending::Other,
            })
            .map(|ending| if rival.suspected(ending) { '!' } else { '.' })
            .collect();
        assert_eq!(seen, expected, "{script}");
    }

    // DM2
    #[test]
    fn a_rival_is_suspected_after_short_connections_in_a_row() {
        check("sss", "..!");
        check("sssss", "..!!!");
        check("ssosss", ".....!");
        check("sslsss", ".....!");
        check("lllll", ".....");
        check("ooooo", ".....");
    }

    // DM2
    #[test]
    fn a_known_rival_is_remembered_over_long_connections() {
        check("sssls", "..!.!");
        check("sssllls", "..!...!");
        check("sssos", "..!..");
    }
}
