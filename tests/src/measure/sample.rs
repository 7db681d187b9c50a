//! Figures of many measurements of the same thing.

use std::time::Duration;

/// Measurements in any unit.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample(Vec<f64>);

impl Sample {
    /// The smallest value that `share` of all values (0 to 1) do not exceed; NaN without values.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the sample")]
        let rank = (share * count(sorted.len())).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(super) fn p95(&self) -> f64 {
        self.quantile(0.95)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "figures have three digits")]
pub(super) fn count(number: usize) -> f64 {
    number as f64
}

/// Bytes as a figure.
#[expect(clippy::cast_precision_loss, reason = "figures have three digits")]
pub(super) fn bytes(number: u64) -> f64 {
    number as f64
}

/// Bytes in MiB.
pub(super) fn mebibytes(number: u64) -> f64 {
    bytes(number) / 1024.0 / 1024.0
}

/// A time in milliseconds.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A distance of two readings of the wall clock, in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "differences are small")]
pub(super) fn milliseconds_between(from: i64, to: i64) -> f64 {
    (to - from) as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample: Sample = (1..=20).rev().map(f64::from).collect();
        assert_eq!((sample.median(), sample.p95(), sample.quantile(1.0)), (10.0, 19.0, 20.0));
        assert_eq!(Sample::from_iter([3.0]).p95(), 3.0);
        assert!(Sample::default().median().is_nan());
    }
}
