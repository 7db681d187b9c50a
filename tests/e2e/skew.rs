//! An agent of a later version and this bridge: what is new is passed over, what has a new word keeps it, and nothing
//! of what is known is lost.

use anyhow::{Context, Result, ensure};
use ciborium::Value;
use radar_tests::broker::{Broker, Options};
use radar_tests::wait::until;

use crate::world::{self, DEADLINE};

const CBOR: &str = "application/cbor";
const STATUS: &[u8] = include_bytes!("../../broker/wire/tests/golden/status.cbor");
const SNAPSHOT: &[u8] = include_bytes!("../../broker/wire/tests/golden/snapshot.cbor");
const EVENT: &[u8] = include_bytes!("../../broker/wire/tests/golden/event.cbor");

/// A released payload with a field more in every structure, and these words changed.
fn later(golden: &[u8], words: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut value: Value = ciborium::from_reader(golden).context("a golden file")?;
    change(&mut value, words);
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes)?;
    Ok(bytes)
}

fn change(value: &mut Value, words: &[(&str, &str)]) {
    match value {
        Value::Map(pairs) => {
            for (name, value) in pairs.iter_mut() {
                match words.iter().find(|(word, _)| name.as_text() == Some(word)) {
                    Some((_, word)) => *value = (*word).into(),
                    None if !matches!(name.as_text(), Some("labels" | "set")) => change(value, words),
                    None => {}
                }
            }
            pairs.push(("colour".into(), Value::Map(vec![("of".into(), "the future".into())])));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| change(item, words)),
        _ => {}
    }
}

// E13
#[tokio::test]
async fn an_agent_of_a_later_version_is_shown_with_all_that_is_known_of_it() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let bridge = world::bridge(&broker.url())?;
    bridge.start().await?;
    let topic = |channel: &str| format!("radar/v1/tomorrow/{channel}");
    let status = later(STATUS, &[("version", "9.9.9"), ("reason", "thawed")])?;
    broker.publish_typed(&topic("status"), status, true, CBOR).await?;
    broker.publish_typed(&topic("snapshot"), later(SNAPSHOT, &[("health", "drowsy")])?, true, CBOR).await?;
    // A channel that this version does not have.
    broker.publish_typed(&topic("forecast"), later(EVENT, &[])?, true, CBOR).await?;
    let line =
        bridge.wait_agent("tomorrow", "the agent with its list", |line| line["containers"]["total"] == 2).await?;
    ensure!(line["state"] == "online" && line["version"] == "9.9.9", "{line}");
    broker.publish_typed(&topic("event"), later(EVENT, &[("action", "teleport")])?, false, CBOR).await?;
    until("the event", DEADLINE, async || {
        let told = bridge.call(&["events", "tomorrow", "--json"]).await.map_err(|error| error.to_string())?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        if told.contains("\"teleport\"") { Ok(()) } else { Err(told) }
    })
    .await?;
    let (shown, metrics) = (bridge.call(&["agents"]).await?.stdout, bridge.get("/metrics").await?.1);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    ensure!(shown.contains(&format!("9.9.9 (bridge {})", env!("CARGO_PKG_VERSION"))), "{shown}");
    let errors = metrics.lines().filter(|line| line.starts_with("radar_decode_errors_total{"));
    ensure!(errors.clone().all(|line| line.ends_with(" 0")), "{:?}", errors.collect::<Vec<_>>());
    bridge.check_running()
}
