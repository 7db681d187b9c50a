//! The engine's points in time: RFC 3339 text in, numbers out.

use radar_link::time::utc;

/// Milliseconds since 1970 UTC; `None` for what is no time, and for what the engine writes when it means none
/// (`0001-01-01T00:00:00Z`).
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    utc::nanoseconds(text).map(|time| time.div_euclid(1_000_000))
}

/// The form in which the engine takes a time: seconds, a point, nine digits.
pub(super) fn since(time: i64) -> String {
    let time = time.max(0);
    format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_none_is_none() {
        assert_eq!(milliseconds("2024-02-29T12:34:56.789999999Z"), Some(1_709_210_096_789));
        assert_eq!(milliseconds("0001-01-01T00:00:00Z"), None);
    }

    #[test]
    fn a_time_goes_to_the_engine_with_all_its_digits() {
        assert_eq!(since(1_709_210_096_000_000_789), "1709210096.000000789");
        assert_eq!(since(-5), "0.000000000");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,40}") {
            let _ = milliseconds(&text);
        }
    }
}
