//! What the bridge answers, as people read it. Pure: a document and the time go in, text comes out. Every name in it is
//! foreign, and made harmless; a field that is missing is no failure, so that a bridge of another version can be read.

pub(super) mod agents;
pub(super) mod containers;
pub(super) mod history;
pub(super) mod stats;
pub(super) mod stores;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The part of a document that is looked at.
fn part<T: DeserializeOwned + Default>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

/// The entries of a list by its name.
fn entries<T: DeserializeOwned + Default>(value: &Value, list: &str) -> Vec<T> {
    value.get(list).and_then(Value::as_array).into_iter().flatten().map(part).collect()
}

/// Bytes as people read them: `512 B`, `1.5 kB`, `20.1 MB`; the units are powers of 1000, as the engine's own tools show them.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (count / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit() {
        for (count, expect) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1550, "1.5 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (20_123_456_789, "20.1 GB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(bytes(count), expect, "{count}");
        }
    }
}
