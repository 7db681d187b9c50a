//! What containers and their hosts use, as of the last sample of each agent.

use std::collections::BTreeMap;

use radar_link::time::utc;
use serde::Deserialize;
use serde_json::Value;

use super::{Unreadable, bytes, part};
use crate::text::{columns, plain};
use crate::when;

/// What is used; a figure that the kernel does not give is absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Use {
    cpu_percent: Option<f64>,
    memory: Option<u64>,
    memory_limit: Option<u64>,
    received: Option<u64>,
    sent: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
    pids: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Sample {
    at: i64,
    host: Use,
    containers: Vec<Used>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Used {
    id: String,
    name: Option<String>,
    #[serde(rename = "use")]
    usage: Use,
}

/// The last sample of each agent.
#[derive(Debug, Clone, Default)]
pub(in crate::radar) struct Board {
    samples: BTreeMap<String, Sample>,
    /// Of agents that tell none, why.
    silent: BTreeMap<String, String>,
    container: Option<String>,
}

const HEAD: [&str; 9] = [
    "AGENT",
    "CONTAINER",
    "CPU %",
    "MEMORY / LIMIT",
    "MEM %",
    "NETWORK IN / OUT",
    "DISK READ / WRITTEN",
    "PIDS",
    "SAMPLED",
];

impl Board {
    /// An empty one, of all containers or of one.
    pub(in crate::radar) fn new(container: Option<String>) -> Self {
        Self { container, ..Self::default() }
    }

    /// Takes a sample. Whether the container that is asked for is in it.
    pub(in crate::radar) fn take(&mut self, agent: &str, sample: &Value) -> Result<bool, Unreadable> {
        let mut sample: Sample = part(sample)?;
        if let Some(wanted) = &self.container {
            sample.containers.retain(|it| it.name.as_ref() == Some(wanted) || it.id.starts_with(wanted));
        }
        sample.containers.sort_unstable_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        let found = self.container.is_none() || !sample.containers.is_empty();
        self.silent.remove(agent);
        self.samples.insert(agent.to_owned(), sample);
        Ok(found)
    }

    /// Notes why an agent tells none (any more).
    pub(in crate::radar) fn lose(&mut self, agent: &str, why: String) {
        self.silent.insert(agent.to_owned(), why);
    }

    /// The table of all, and below it who is silent.
    pub(in crate::radar) fn table(&self, now: i64) -> String {
        let rows: Vec<_> = self
            .samples
            .iter()
            .flat_map(|(agent, sample)| self.rows(agent, sample, &when::ago(sample.at, now)))
            .collect();
        let mut text = columns(HEAD, &rows);
        for (agent, why) in &self.silent {
            text.push_str(&format!("{}: {}\n", plain(agent), plain(why)));
        }
        text
    }

    /// The lines of one agent's last sample, without a head, for those who keep them.
    pub(in crate::radar) fn lines(&self, agent: &str) -> String {
        let Some(sample) = self.samples.get(agent) else { return String::new() };
        let at = utc::text(sample.at);
        self.rows(agent, sample, "").iter().map(|row| format!("{at}  {}\n", row[..8].join("  "))).collect()
    }

    fn rows(&self, agent: &str, sample: &Sample, sampled: &str) -> Vec<[String; 9]> {
        let host = self.container.is_none().then_some(("(host)".to_owned(), &sample.host));
        let name = |it: &Used| it.name.as_deref().map_or_else(|| plain(it.id.get(..12).unwrap_or(&it.id)), plain);
        let containers = sample.containers.iter().map(|it| (name(it), &it.usage));
        let row = |(name, usage): (String, &Use)| {
            [
                plain(agent),
                name,
                usage.cpu_percent.map_or_else(none, |percent| format!("{percent:.1}")),
                pair(usage.memory, usage.memory_limit),
                percent(usage.memory, usage.memory_limit),
                pair(usage.received, usage.sent),
                pair(usage.read, usage.written),
                usage.pids.map_or_else(none, |pids| pids.to_string()),
                sampled.to_owned(),
            ]
        };
        host.into_iter().chain(containers).map(row).collect()
    }
}

fn none() -> String {
    "-".to_owned()
}

fn pair(one: Option<u64>, other: Option<u64>) -> String {
    match (one, other) {
        (None, None) => none(),
        (one, other) => format!("{} / {}", one.map_or_else(none, bytes), other.map_or_else(none, bytes)),
    }
}

fn percent(part: Option<u64>, whole: Option<u64>) -> String {
    let (Some(part), Some(whole @ 1..)) = (part, whole) else { return none() };
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({"at": 1000,
        "host": {"cpu_percent": 12.34, "memory": 500_000_000, "memory_limit": 1_000_000_000, "pids": 120},
        "containers": [
            {"id": "ff", "name": "web", "use": {"cpu_percent": 99.96, "memory": 1000, "memory_limit": 3000,
                "received": 1500, "sent": 2, "read": 0, "written": 0, "pids": 3}},
            {"id": "0123456789abcdef", "name": null, "use": {"received": 5}},
        ]})
    }

    // DM8
    #[test]
    fn a_figure_that_is_not_there_is_not_zero() {
        let mut board = Board::new(None);
        assert!(board.take("pi", &sample()).unwrap());
        board.lose("attic", "policy: stats\u{1b}".to_owned());
        assert_eq!(
            board.table(3000),
            "AGENT  CONTAINER     CPU %  MEMORY / LIMIT     MEM %  NETWORK IN / OUT  DISK READ / WRITTEN  PIDS  SAMPLED\n\
             pi     (host)        12.3   500.0 MB / 1.0 GB  50.0   -                 -                    120   2 s ago\n\
             pi     0123456789ab  -      -                  -      5 B / -           -                    -     2 s ago\n\
             pi     web           100.0  1.0 kB / 3.0 kB    33.3   1.5 kB / 2 B      0 B / 0 B            3     2 s ago\n\
             attic: policy: stats\u{fffd}\n"
        );
        board.take("attic", &sample()).unwrap();
        assert!(!board.table(3000).contains("policy"));
    }

    // DM8
    #[test]
    fn one_container_is_shown_by_its_name_or_id() {
        for (wanted, found, lines) in [("web", true, 1), ("0123", true, 1), ("db", false, 0)] {
            let mut board = Board::new(Some(wanted.to_owned()));
            assert_eq!(board.take("pi", &sample()).unwrap(), found, "{wanted}");
            assert_eq!(board.lines("pi").lines().count(), lines, "{wanted}");
        }
        let mut board = Board::new(Some("web".to_owned()));
        board.take("pi", &sample()).unwrap();
        assert_eq!(
            board.lines("pi"),
            "1970-01-01T00:00:01.000Z  pi  web  100.0  1.0 kB / 3.0 kB  33.3  1.5 kB / 2 B  0 B / 0 B  3\n"
        );
    }
}
