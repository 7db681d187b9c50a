//! What two samples say of the time between them.

use std::collections::BTreeMap;

use radar_wire::container::ContainerId;
use radar_wire::stats::{Stats, Usage};
use serde::Serialize;

/// A sample as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Sample {
    pub(super) at: i64,
    host: Use,
    containers: Vec<ContainerUse>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ContainerUse {
    id: ContainerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    #[serde(rename = "use")]
    figures: Use,
}

/// A figure that is not known is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Use {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<u64>,
}

/// The sample, with what the processors did since the one before it.
pub(super) fn sample(before: Option<&Stats>, stats: &Stats, names: &BTreeMap<ContainerId, Box<str>>) -> Sample {
    let time = |stats: &Stats, time: Option<i64>| time.unwrap_or(stats.at.saturating_mul(1_000_000));
    let host_before = before.map(|before| (&before.host, time(before, None)));
    let containers = stats.containers.iter().map(|container| {
        let earlier = before.and_then(|before| {
            let earlier = before.containers.iter().find(|earlier| earlier.id == container.id)?;
            Some((&earlier.usage, time(before, earlier.time)))
        });
        let name = names.get(&container.id).cloned();
        let figures = figures(earlier, &container.usage, time(stats, container.time));
        ContainerUse { id: container.id, name, figures }
    });
    Sample {
        at: stats.at,
        host: figures(host_before, &stats.host, time(stats, None)),
        containers: containers.collect(),
    }
}

fn figures(before: Option<(&Usage, i64)>, usage: &Usage, time: i64) -> Use {
    Use {
        cpu_percent: before.and_then(|(before, earlier)| percent(before.cpu?, usage.cpu?, time.checked_sub(earlier)?)),
        memory: usage.memory,
        memory_limit: usage.memory_limit,
        received: usage.received,
        sent: usage.sent,
        read: usage.read,
        written: usage.written,
        pids: usage.pids,
    }
}

/// Of one processor. A counter that began anew, and a time that stood still, say nothing.
#[expect(clippy::cast_precision_loss, reason = "of nanoseconds between two samples nothing is lost that is shown")]
fn percent(before: u64, after: u64, passed: i64) -> Option<f64> {
    let used = after.checked_sub(before)?;
    (passed > 0).then(|| (used as f64 / passed as f64 * 10_000.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use radar_wire::stats::ContainerUsage;
    use serde_json::json;

    use super::*;

    const ID: ContainerId = ContainerId::new([7; 32]);

    fn stats(at: i64, cpu: u64, time: Option<i64>) -> Stats {
        let usage = Usage { cpu: Some(cpu), memory: Some(9), ..Usage::default() };
        Stats { at, host: usage.clone(), containers: vec![ContainerUsage { id: ID, time, usage }] }
    }

    // DM8
    #[test]
    fn processor_time_is_of_one_processor_between_two_samples() {
        let names = BTreeMap::from([(ID, "web".into())]);
        let first = stats(1000, 500_000_000, Some(1_000_000_000));
        let told = serde_json::to_value(sample(None, &first, &names)).unwrap();
        let container = json!({ "id": ID, "name": "web", "use": { "memory": 9 } });
        assert_eq!(told, json!({ "at": 1000, "host": { "memory": 9 }, "containers": [container] }));
        // Two seconds on the host's clock, one on the engine's.
        let second = stats(3000, 2_000_000_000, Some(2_000_000_000));
        let told = serde_json::to_value(sample(Some(&first), &second, &BTreeMap::new())).unwrap();
        assert_eq!(told["host"]["cpu_percent"], 75.0);
        assert_eq!(told["containers"][0]["use"]["cpu_percent"], 150.0);
        assert_eq!(told["containers"][0].get("name"), None);
    }

    // DM8
    #[test]
    fn what_cannot_be_told_is_absent_and_never_0() {
        for (before, after, passed, expected) in [
            (5, 5, 1000, Some(0.0)),
            (5, 4, 1000, None),
            (5, 6, 0, None),
            (5, 6, -1, None),
            (0, 12_345, 1_000_000, Some(1.23)),
        ] {
            assert_eq!(percent(before, after, passed), expected);
        }
        let without = Stats { host: Usage::default(), ..stats(1, 1, None) };
        let told = serde_json::to_value(sample(Some(&without), &without, &BTreeMap::new())).unwrap();
        assert_eq!(told["host"], json!({}));
    }
}
