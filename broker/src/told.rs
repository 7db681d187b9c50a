//! An event as JSON, the same on the command line and over HTTP.

use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use serde::Serialize;

/// An event.
#[derive(Debug, Serialize)]
pub(crate) struct Told<'a> {
    epoch: u64,
    sequence: u64,
    at: i64,
    engine_time: Option<i64>,
    action: &'a str,
    container: Option<String>,
    name: Option<&'a str>,
    /// Of a gap: how many events it stands for, or null when nobody knows; and the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    set: &'a Fields,
}

impl<'a> Told<'a> {
    /// The event in this form.
    pub(crate) fn of(event: &'a Event) -> Self {
        let gap = event.action == Action::Gap;
        Self {
            epoch: event.epoch,
            sequence: event.sequence,
            at: event.at,
            engine_time: event.time,
            action: event.action.as_str(),
            container: event.id.map(|id| id.to_string()),
            name: event.name.as_deref(),
            count: gap.then(|| event.missing()),
            first: gap.then_some(event.first),
            set: &event.set,
        }
    }
}
