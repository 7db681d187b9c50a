//! The engine's points in time: RFC 3339 text in, nanoseconds since 1970 out.

/// Nanoseconds since 1970 UTC of an RFC 3339 time; `None` for what is no such time, and for what
/// the engine writes when it means none (`0001-01-01T00:00:00Z`).
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));

    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let mut parts = clock.split(':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let fits = (1970..=2261).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !fits || fraction.len() > 18 {
        return None;
    }
    let fraction = number(&format!("{fraction:0<9}")[..9])?;
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second - offset(zone)?;
    Some(seconds * 1_000_000_000 + fraction)
}

/// Milliseconds since 1970 UTC of an RFC 3339 time; `None` as in [`nanoseconds`].
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    nanoseconds(text).map(|time| time.div_euclid(1_000_000))
}

/// The form in which the engine takes a time: seconds, a point, nine digits.
pub(super) fn since(time: i64) -> String {
    let time = time.max(0);
    format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000)
}

/// Seconds that a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let ahead = number(hours)? * 3600 + number(minutes)? * 60;
    Some(if zone.starts_with('-') { -ahead } else { ahead })
}

/// Days since 1970 of a date in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day is a year's last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

fn number(text: &str) -> Option<i64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_engines_write_them() {
        let table = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:34:56.789Z", Some(1_709_210_096_789_000_000)),
            ("2024-02-29T12:34:56.123456789Z", Some(1_709_210_096_123_456_789)),
            ("2024-02-29T14:34:56.5+02:00", Some(1_709_210_096_500_000_000)),
            ("2024-02-29T07:04:56-05:30", Some(1_709_210_096_000_000_000)),
            ("2000-12-31T23:59:59Z", Some(978_307_199_000_000_000)),
            ("0001-01-01T00:00:00Z", None),
            ("9999-01-01T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-02-29T12:34:56", None),
            ("2024-02-29", None),
            ("2024-02-29T12:34:56+0200", None),
            ("T:Z", None),
            ("", None),
        ];
        for (text, expect) in table {
            assert_eq!(nanoseconds(text), expect, "{text}");
        }
    }

    #[test]
    fn a_time_goes_to_the_engine_with_all_its_digits() {
        assert_eq!(since(1_709_210_096_000_000_789), "1709210096.000000789");
        assert_eq!(since(-5), "0.000000000");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,40}") {
            let _ = nanoseconds(&text);
        }
    }
}
