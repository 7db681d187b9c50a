//! What changed of a container: a map of the record's fields, so that a new field of the record
//! needs nothing here, and a field that an older reader does not know passes through it.

use std::collections::BTreeMap;

use ciborium::Value;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::container::{ContainerId, Record};

/// Fields of a [`Record`] by name, without its id; null for one that has no value any more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<String, Value>);

/// The fields do not make a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the fields do not make a container's record: {0}")]
pub struct FieldsError(String);

impl Fields {
    /// All fields: a record for readers that have none.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self(parts(record))
    }

    /// The fields in which `new` is not `old`.
    #[must_use]
    pub fn between(old: &Record, new: &Record) -> Self {
        let (mut before, after) = (parts(old), parts(new));
        let mut changed: BTreeMap<_, _> =
            after.into_iter().filter(|(name, value)| before.remove(name).as_ref() != Some(value)).collect();
        changed.extend(before.into_keys().map(|name| (name, Value::Null)));
        Self(changed)
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The record that `old` becomes; without one, the record that these fields are.
    ///
    /// # Errors
    /// When a field that every record has is missing, or one has a wrong type.
    pub fn apply(&self, id: ContainerId, old: Option<&Record>) -> Result<Record, FieldsError> {
        let mut all = old.map(parts).unwrap_or_default();
        for (name, value) in &self.0 {
            match value {
                Value::Null => all.remove(name),
                value => all.insert(name.clone(), value.clone()),
            };
        }
        all.insert("id".to_owned(), Value::Bytes(id.as_bytes().to_vec()));
        let all = all.into_iter().map(|(name, value)| (Value::Text(name), value)).collect();
        Value::Map(all).deserialized().map_err(|error| FieldsError(error.to_string().chars().take(200).collect()))
    }
}

fn parts(record: &Record) -> BTreeMap<String, Value> {
    let Ok(Value::Map(pairs)) = Value::serialized(record) else {
        unreachable!("a record is a map of plain values");
    };
    let named = pairs.into_iter().filter_map(|(name, value)| Some((name.into_text().ok()?, value)));
    named.filter(|(name, _)| name != "id").collect()
}
