//! Points in time as text, by RFC 3339. The calendar is Gregorian, without leap seconds; a date is counted in years
//! that begin in March, so that the leap day is a year's last (Howard Hinnant, `days_from_civil`).

const DAY: i64 = 86_400;

/// A time in milliseconds since 1970, in UTC: `2026-11-21T10:00:00.250Z`.
pub fn text(wall: i64) -> String {
    let (seconds, milli) = (wall.div_euclid(1000), wall.rem_euclid(1000));
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Nanoseconds since 1970 of a text like `2024-02-29T12:34:56.789+02:00`; none for what is no time, or is one before
/// 1970 or after 2261.
pub fn nanoseconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));

    let (year, month, day) = three(date, '-')?;
    let (hour, minute, second) = three(clock, ':')?;
    let days = days(year, month, day);
    let fits = (1970..=2261).contains(&year) && self::date(days) == (year, month, day);
    if !fits || hour >= 24 || minute >= 60 || second > 60 || fraction.len() > 18 {
        return None;
    }
    let fraction = number(&format!("{fraction:0<9}")[..9])?;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second - offset(zone)?;
    Some(seconds * 1_000_000_000 + fraction)
}

/// Seconds that a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let ahead = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
    Some(if zone.starts_with('-') { -ahead } else { ahead })
}

fn three(text: &str, between: char) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(between);
    let three = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    parts.next().is_none().then_some(three)
}

fn number(text: &str) -> Option<i64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
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

/// The inverse; a date that does not exist gives the day of another one.
fn days(year: i64, month: i64, day: i64) -> i64 {
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
    fn times_are_written() {
        for (wall, expect) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(wall), expect);
        }
        for days in (-800_000..3_000_000).step_by(97) {
            let (year, month, day) = date(days);
            assert_eq!(self::days(year, month, day), days);
        }
    }

    #[test]
    fn times_are_read() {
        let table = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:34:56.789Z", Some(1_709_210_096_789_000_000)),
            ("2024-02-29T12:34:56.123456789Z", Some(1_709_210_096_123_456_789)),
            ("2024-02-29T14:34:56.5+02:00", Some(1_709_210_096_500_000_000)),
            ("2024-02-29T07:04:56-05:30", Some(1_709_210_096_000_000_000)),
            ("2000-12-31 23:59:59z", Some(978_307_199_000_000_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000_000_000)),
            ("0001-01-01T00:00:00Z", None),
            ("9999-01-01T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2024-02-29T24:00:00Z", None),
            ("2024-02-29T12:34:56", None),
            ("2024-02-29", None),
            ("2024-02-29T12:34:56+0200", None),
            ("2024-02-29T12:34:56+99:00", None),
            ("2024-02-29-01T12:34:56Z", None),
            ("T:Z", None),
            ("", None),
        ];
        for (text, expect) in table {
            assert_eq!(nanoseconds(text), expect, "{text}");
        }
    }
}
