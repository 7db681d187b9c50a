//! Times and durations as people read and write them. All times are UTC, and say so.

use std::str::FromStr;
use std::time::Duration;

use radar_link::settings::Span;
use radar_link::time::utc;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// From when on: a time, or a duration before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// Milliseconds since 1970.
    Time(i64),
    Ago(Duration),
}

/// A text that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("give a duration such as 2h or 7d, or a time of UTC such as 2026-11-21 or 2026-11-21T10:00:00Z")]
pub(crate) struct SinceError;

impl Since {
    /// Milliseconds since 1970.
    pub(crate) fn from(self, now: i64) -> i64 {
        match self {
            Self::Time(at) => at,
            Self::Ago(span) => now.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

impl FromStr for Since {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, SinceError> {
        match text.parse::<Span>() {
            Ok(span) => Ok(Self::Ago(span.0)),
            Err(_) => parse(text).map(Self::Time).ok_or(SinceError),
        }
    }
}

/// A date, or a date and a time with or without seconds, of UTC.
fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
    let seconds = if time.matches(':').count() == 1 { ":00" } else { "" };
    utc::nanoseconds(&format!("{date}T{time}{seconds}Z")).map(|time| time / 1_000_000)
}

/// How long ago something was, in one unit: `now`, `42 s ago`, `3 min ago`, `5 h ago`, `12 d ago`.
pub(crate) fn ago(then: i64, now: i64) -> String {
    let passed = now.saturating_sub(then);
    match passed {
        ..SECOND => "now".to_owned(),
        SECOND..MINUTE => format!("{} s ago", passed / SECOND),
        MINUTE..HOUR => format!("{} min ago", passed / MINUTE),
        HOUR..DAY => format!("{} h ago", passed / HOUR),
        _ => format!("{} d ago", passed / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_dates_times_and_durations() {
        for (text, since) in [
            ("2h", Since::Ago(Duration::from_secs(7200))),
            ("1970-01-02", Since::Time(DAY)),
            ("1970-01-02 01:02", Since::Time(DAY + HOUR + 2 * MINUTE)),
            ("1970-01-02T01:02:03Z", Since::Time(DAY + HOUR + 2 * MINUTE + 3 * SECOND)),
        ] {
            assert_eq!(text.parse(), Ok(since), "{text}");
        }
        for text in
            ["", "yesterday", "2h30m", "2026-02-30", "2026-13-01", "2026-1", "2026-01-01T24:00", "10:00", "1e3", "-1h"]
        {
            assert_eq!(text.parse::<Since>(), Err(SinceError), "{text}");
        }
        assert_eq!(Since::Ago(Duration::from_secs(1)).from(5000), 4000);
    }

    #[test]
    fn what_is_long_ago_looks_so() {
        for (passed, text) in [
            (-5000, "now"),
            (999, "now"),
            (42 * SECOND, "42 s ago"),
            (3 * MINUTE + 59 * SECOND, "3 min ago"),
            (DAY - 1, "23 h ago"),
            (400 * DAY, "400 d ago"),
        ] {
            assert_eq!(ago(1000, 1000 + passed), text);
        }
    }
}
