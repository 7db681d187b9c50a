//! The text of a heartbeat. It holds the whole list or is not made: the server deletes what is not in it.

use std::collections::BTreeSet;

use radar_link::time::utc;
use serde::Serialize;

use super::container::ServerContainer;
use super::enrollment::UpstreamId;

/// The server's limit for a body, in bytes.
pub(super) const LIMIT: usize = 102_400;

/// How many digits of an id the engine's own tools show.
const SHORT_ID: usize = 12;

/// The list does not fit into one heartbeat, whatever is left away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge {
    /// The size that was reached, in bytes.
    pub(super) bytes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeat<'a> {
    agent_id: &'a str,
    containers: Vec<Row<'a>>,
    status: &'static str,
    timestamp: String,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    image: &'a str,
    tag: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
}

/// Writes a heartbeat. Over the limit first the times of creation go, then the tail of the ids unless that
/// makes two of them equal.
pub(super) fn heartbeat(
    upstream: &UpstreamId,
    online: bool,
    containers: &[ServerContainer],
    wall: i64,
) -> Result<String, TooLarge> {
    let write = |created: bool, id: fn(&ServerContainer) -> &str| {
        let row = |container| row(container, created, id);
        let heartbeat = Heartbeat {
            agent_id: upstream.as_str(),
            containers: containers.iter().map(row).collect(),
            status: if online { "online" } else { "offline" },
            timestamp: utc::text(wall),
        };
        serde_json::to_string(&heartbeat).expect("texts and lists of texts can always be written as JSON")
    };
    let mut text = write(true, full);
    if text.len() > LIMIT {
        text = write(false, full);
    }
    let distinct = || containers.iter().map(short).collect::<BTreeSet<_>>().len() == containers.len();
    if text.len() > LIMIT && distinct() {
        text = write(false, short);
    }
    if text.len() > LIMIT { Err(TooLarge { bytes: text.len() }) } else { Ok(text) }
}

fn row<'a>(container: &'a ServerContainer, created: bool, id: fn(&ServerContainer) -> &str) -> Row<'a> {
    Row {
        id: id(container),
        name: &container.name,
        image: &container.image,
        tag: if container.tag.is_empty() { "latest" } else { &container.tag },
        status: &container.status,
        created: container.created.filter(|_| created).map(utc::text),
    }
}

fn full(container: &ServerContainer) -> &str {
    &container.id
}

fn short(container: &ServerContainer) -> &str {
    container.id.get(..SHORT_ID).unwrap_or(&container.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(count: usize) -> Vec<ServerContainer> {
        (0..count)
            .map(|n| ServerContainer {
                id: format!("{n:064x}").chars().rev().collect(),
                name: format!("container-{n}"),
                image: "registry.example.org:5000/team/app".to_owned(),
                tag: "1.25".to_owned(),
                status: "running".to_owned(),
                created: Some(1_700_000_000_000),
            })
            .collect()
    }

    fn id() -> UpstreamId {
        "7b1d9a52-3f0c-4d55-9f04-0a7d6f1f2a11".parse().unwrap()
    }

    #[test]
    fn a_heartbeat_has_the_fields_of_the_contract() {
        let mut list = many(1);
        list[0].tag.clear();
        let text = heartbeat(&id(), true, &list, 1_732_155_730_007).unwrap();
        let expect = serde_json::json!({
            "agentId": "7b1d9a52-3f0c-4d55-9f04-0a7d6f1f2a11",
            "containers": [{
                "id": "0".repeat(64),
                "name": "container-0",
                "image": "registry.example.org:5000/team/app",
                "tag": "latest",
                "status": "running",
                "created": "2023-11-14T22:13:20.000Z",
            }],
            "status": "online",
            "timestamp": "2024-11-21T02:22:10.007Z",
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expect);
        assert!(heartbeat(&id(), false, &[], 0).unwrap().contains(r#""containers":[],"status":"offline""#));
    }

    // RR9
    #[test]
    fn over_the_limit_first_the_times_go_then_the_tail_of_the_ids_then_all() {
        for (count, times, long_ids, fits) in
            [(25, true, true, true), (500, false, true, true), (600, false, false, true), (900, false, false, false)]
        {
            match heartbeat(&id(), true, &many(count), 0) {
                Ok(text) => {
                    assert!(fits && text.len() <= LIMIT, "{count}: {}", text.len());
                    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                    let rows = value["containers"].as_array().unwrap();
                    assert_eq!(rows.len(), count, "never a part");
                    assert_eq!(rows.iter().all(|row| row.get("created").is_some()), times, "{count}");
                    assert_eq!(rows.iter().all(|row| row["id"].as_str().unwrap().len() == 64), long_ids, "{count}");
                }
                Err(TooLarge { bytes }) => assert!(!fits && bytes > LIMIT, "{count}: {bytes}"),
            }
        }
    }

    // RR9
    #[test]
    fn ids_that_begin_alike_are_not_shortened() {
        let mut list = many(600);
        list[0].id = format!("{}{}", &list[1].id[..12], "f".repeat(52));
        assert!(heartbeat(&id(), true, &list, 0).is_err());
    }
}
