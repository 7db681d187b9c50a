//! The bridge's history of an agent, compared with what the engine has said.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::observer::EngineEvent;

/// How a history differs from what happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Difference {
    /// Events that are not in it.
    pub(super) lost: usize,
    /// Events that are in it more than once.
    pub(super) twice: usize,
    /// Events of one container that stand behind a later one.
    pub(super) misplaced: usize,
}

impl Difference {
    /// Compares a history, one JSON object a line, with all events of the engine.
    pub(super) fn between(history: &str, events: &[EngineEvent]) -> Result<Self> {
        let mut stored: BTreeMap<(i64, String, String), usize> = BTreeMap::new();
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        let mut difference = Self::default();
        for line in history.lines() {
            let line: Value = serde_json::from_str(line).context("a line of the history")?;
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            // What was found by reconciling has no time of the engine, and is none of its events.
            let Some(time) = line["engine_time"].as_i64() else { continue };
            let container = text("container");
            let before = last.insert(container.clone(), time);
            difference.misplaced += usize::from(before.is_some_and(|before| before > time));
            *stored.entry((time, text("action"), container)).or_default() += 1;
        }
        difference.twice = stored.values().map(|count| count - 1).sum();
        let key = |event: &EngineEvent| (event.time_nano, event.kind().to_owned(), event.id.clone());
        difference.lost = events.iter().filter(|event| !stored.contains_key(&key(event))).count();
        Ok(difference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_twice_or_misplaced_is_counted() {
        let event = |time_nano, action: &str| EngineEvent {
            time_nano,
            action: action.to_owned(),
            id: "a".to_owned(),
            name: "n".to_owned(),
            at: 0,
        };
        let line = |time: i64, action: &str| {
            format!("{{\"engine_time\":{time},\"action\":\"{action}\",\"container\":\"a\"}}\n")
        };
        let events = [event(1, "pause"), event(2, "unpause"), event(3, "health_status: healthy")];
        let whole = [line(1, "pause"), line(2, "unpause"), line(3, "health_status")].concat();
        assert_eq!(Difference::between(&whole, &events).unwrap(), Difference::default());
        let broken = [line(2, "unpause"), line(1, "pause"), line(1, "pause")].concat();
        let expect = Difference { lost: 1, twice: 1, misplaced: 1 };
        assert_eq!(Difference::between(&broken, &events).unwrap(), expect);
    }
}
