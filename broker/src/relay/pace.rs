//! When the next attempt or the next beat is: arithmetic on durations, with jitter that is drawn from an
//! agent's name instead of from chance.

use std::time::Duration;

/// The server's interval before its first reply.
pub(super) const INTERVAL: Duration = Duration::from_secs(120);

const SHORTEST: f64 = 30.0;
const LONGEST: f64 = 1800.0;

/// A beat is spread over this part of the interval in both directions.
const JITTER: f64 = 0.05;

/// The wait after this many failures in a row: `first`, doubled with each, at most `most`.
pub(super) fn backoff(failures: u32, first: Duration, most: Duration) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    first.saturating_mul(doubled).min(most)
}

/// The interval that a reply asks for, held within what the server's own settings allow; `None` for a number
/// that is none.
pub(super) fn interval(seconds: f64) -> Option<Duration> {
    seconds.is_finite().then(|| Duration::from_secs_f64(seconds.clamp(SHORTEST, LONGEST)))
}

/// The interval, spread: the same for the same agent and beat, different for others.
pub(super) fn spread(interval: Duration, agent: &str, beat: u32) -> Duration {
    // FNV-1a, finished by the mixer of splitmix64: neighbouring numbers must land far apart.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in agent.bytes().chain(beat.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^= hash >> 31;
    let part = f64::from(u32::try_from(hash >> 32).unwrap_or_default()) / f64::from(u32::MAX);
    interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    // RR12
    #[test]
    fn waits_double_from_the_first_to_the_most() {
        let waits: Vec<_> = (1..=9).map(|n| backoff(n, seconds(1), seconds(60)).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff(u32::MAX, seconds(1), seconds(60)), seconds(60));
    }

    // RR4
    #[test]
    fn an_interval_is_held_between_30_s_and_30_min_and_may_be_fractional() {
        let table = [
            (30.0, Some(30_000)),
            (120.0, Some(120_000)),
            (30.5, Some(30_500)),
            (1800.0, Some(1_800_000)),
            (1e300, Some(1_800_000)),
            (-5.0, Some(30_000)),
            (0.0, Some(30_000)),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ];
        for (asked, expect) in table {
            assert_eq!(interval(asked), expect.map(Duration::from_millis), "{asked}");
        }
    }

    // RR4
    #[test]
    fn beats_are_spread_by_a_twentieth_and_not_alike() {
        let beats: Vec<_> = (0..1000).map(|n| spread(seconds(100), "pi-kitchen", n).as_secs_f64()).collect();
        assert!(beats.iter().all(|beat| (95.0..=105.0).contains(beat)));
        let (least, most) = beats.iter().fold((f64::MAX, f64::MIN), |(l, m), b| (l.min(*b), m.max(*b)));
        assert!(least < 95.5 && most > 104.5, "{least} {most}");
        let mean = beats.iter().sum::<f64>() / 1000.0;
        assert!((99.5..100.5).contains(&mean), "{mean}");
        assert_ne!(spread(seconds(100), "pi-1", 0), spread(seconds(100), "pi-2", 0));
        assert_eq!(spread(seconds(100), "pi-1", 7), spread(seconds(100), "pi-1", 7));
    }
}
