//! How long to wait before the next attempt: growing, with jitter, for ever. Draws randomness,
//! so it belongs to shells; a core that waits brings its own arithmetic.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// A waiting time is spread over this part of itself in both directions.
const JITTER: f64 = 0.5;

/// Paces the attempts of one thing that is retried. It never gives up.
#[derive(Debug)]
pub struct Pacer(ExponentialBackoff);

impl Pacer {
    /// Waits of about `first`, then twice as long each time, never longer than `most`. Each is
    /// spread at random, so that a fleet does not return in one moment.
    pub fn new(first: Duration, most: Duration) -> Self {
        // The jitter is added to the interval, so the interval ends where it still fits under `most`.
        let longest = most.div_f64(1.0 + JITTER);
        Self(
            ExponentialBackoffBuilder::new()
                .with_initial_interval(first.min(longest))
                .with_max_interval(longest)
                .with_multiplier(2.0)
                .with_randomization_factor(JITTER)
                .with_max_elapsed_time(None)
                .build(),
        )
    }

    /// How long to wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(self.0.max_interval)
    }

    /// Starts again with the first wait: for after a success that lasted.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

/// `around`, spread at random by a fifth in both directions.
pub fn spread(around: Duration) -> Duration {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(around)
        .with_randomization_factor(0.2)
        .with_max_elapsed_time(None)
        .build()
        .next_backoff()
        .unwrap_or(around)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(60);

    // DM3
    #[test]
    fn waits_grow_from_the_first_to_the_most_and_never_end() {
        for _ in 0..200 {
            let mut pacer = Pacer::new(FIRST, MOST);
            let first = pacer.next_wait();
            assert!((0.5..=1.5).contains(&first.as_secs_f64()), "{first:?}");
            let second = pacer.next_wait();
            assert!((1.0..=3.0).contains(&second.as_secs_f64()), "{second:?}");
            for _ in 0..20 {
                pacer.next_wait();
            }
            let late = pacer.next_wait();
            assert!((20.0..=60.0).contains(&late.as_secs_f64()), "{late:?}");
        }
    }

    // DM3
    #[test]
    fn two_pacers_do_not_wait_alike() {
        let waits = |mut pacer: Pacer| (0..8).map(|_| pacer.next_wait()).collect::<Vec<_>>();
        assert_ne!(waits(Pacer::new(FIRST, MOST)), waits(Pacer::new(FIRST, MOST)));
    }

    #[test]
    fn a_reset_starts_again() {
        let mut pacer = Pacer::new(FIRST, MOST);
        for _ in 0..10 {
            pacer.next_wait();
        }
        pacer.reset();
        assert!(pacer.next_wait() <= Duration::from_millis(1500));
    }

    #[test]
    fn a_first_wait_above_the_most_is_cut() {
        let mut pacer = Pacer::new(MOST, FIRST);
        for _ in 0..5 {
            assert!(pacer.next_wait() <= FIRST + Duration::from_millis(1));
        }
    }

    #[test]
    fn a_spread_stays_near() {
        for _ in 0..200 {
            let wait = spread(Duration::from_secs(300)).as_secs_f64();
            assert!((240.0..=360.1).contains(&wait), "{wait}");
        }
    }
}
