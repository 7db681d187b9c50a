//! What the bridge answers, as people read it. Pure: a document and the time go in, text comes out. Every name in it is
//! foreign, and made harmless. A field that is missing is shown as unknown; one that is something else is an error.

pub(super) mod agents;
pub(super) mod containers;
pub(super) mod history;
pub(super) mod stats;
pub(super) mod stores;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A document that is not as the contract has it. Better to say so than to show what is not so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bridge answers what this version of radar does not understand: {0}")]
pub(super) struct Unreadable(String);

/// The part of a document that is looked at.
fn part<T: DeserializeOwned>(value: &Value) -> Result<T, Unreadable> {
    T::deserialize(value).map_err(|error| Unreadable(error.to_string()))
}

/// The entries of a list by its name.
fn entries<T: DeserializeOwned>(value: &Value, list: &str) -> Result<Vec<T>, Unreadable> {
    let entries = value.get(list).and_then(Value::as_array);
    entries.ok_or_else(|| Unreadable(format!("there are no {list} in it")))?.iter().map(part).collect()
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
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_understood_is_not_shown_as_something_else() {
        for document in [json!({}), json!({"agents": {}}), json!({"agents": [1]}), json!({"agents": [{"heard": 1.5}]})]
        {
            let error = agents::table(&document, 0).unwrap_err();
            assert!(error.to_string().starts_with("the bridge answers what this version"), "{document}");
        }
        assert!(containers::table(&[json!({"ports": "x"})], &Default::default(), 0).is_err());
        assert!(stores::images(&json!({"images": [{"size": -1}]}), 0).is_err());
        assert!(stats::Board::new(None).take("pi", &json!({"host": {"memory": 0.5}})).is_err());
        assert!(history::event(&json!({"sequence": -1})).is_err());
        assert!(history::command(&json!({"issued": "x"})).is_err());
    }

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
