//! Times and durations as people read and write them. All times are UTC, and say so.

use std::str::FromStr;
use std::time::Duration;

use radar_link::settings::Span;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// From when on: a time, or a duration before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// Milliseconds since 1970.
    Time(i64),
    Ago(Duration),
}

/// A text that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("give a duration such as 2h or 7d, or a time of UTC such as 2026-11-21 or 2026-11-21T10:00:00Z")]
pub(super) struct SinceError;

impl Since {
    /// Milliseconds since 1970.
    pub(super) fn from(self, now: i64) -> i64 {
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
    let mut parts = date.splitn(3, '-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = time.splitn(3, ':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    let days = days_of(year, month, day);
    let fits = (1970..10_000).contains(&year) && date_of(days) == (year, month, day);
    (fits && hour < 24 && minute < 60 && second < 60)
        .then(|| days * DAY + hour * HOUR + minute * MINUTE + second * SECOND)
}

fn number(text: &str) -> Option<i64> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// A time of UTC in milliseconds: `2026-11-21T10:00:00.250Z`.
pub(super) fn utc(wall: i64) -> String {
    let (year, month, day) = date_of(wall.div_euclid(DAY));
    let of_day = wall.rem_euclid(DAY);
    let (hour, minute) = (of_day / HOUR, of_day % HOUR / MINUTE);
    let (second, milli) = (of_day % MINUTE / SECOND, of_day % SECOND);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// How long ago something was, in one unit: `now`, `42 s ago`, `3 min ago`, `5 h ago`, `12 d ago`.
pub(super) fn ago(then: i64, now: i64) -> String {
    let passed = now.saturating_sub(then);
    match passed {
        ..SECOND => "now".to_owned(),
        SECOND..MINUTE => format!("{} s ago", passed / SECOND),
        MINUTE..HOUR => format!("{} min ago", passed / MINUTE),
        HOUR..DAY => format!("{} h ago", passed / HOUR),
        _ => format!("{} d ago", passed / DAY),
    }
}

/// The date of a day counted from 1970-01-01; years begin in March, eras have 400 of them
/// (Howard Hinnant, `civil_from_days`).
fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse (`days_from_civil`); a date that does not exist gives that of another one.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (text, wall) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.000Z", 951_868_799_000),
            ("2026-11-21T02:35:44.000Z", 1_795_228_544_000),
        ] {
            assert_eq!(utc(wall), text);
            assert_eq!(text.replace(".000", "").parse(), Ok(Since::Time(wall)));
        }
        assert_eq!(utc(-1), "1969-12-31T23:59:59.999Z");
        for days in (-800_000..3_000_000).step_by(97) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
    }

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
