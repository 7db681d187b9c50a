//! Forgets an agent that is gone for good: its retained messages at the broker and its rows in the store. What the
//! server keeps is the server's; it is said.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use radar_link::mqtt::{Delivery, Message, Notice, Qos, Session};
use radar_wire::topic::{AgentId, Channel};

use super::agents::upstreams;
use crate::instance::is_running;
use crate::settings::Settings;
use crate::store::rows::Write;
use crate::store::{Reader, Store};

/// How long the broker may take for all of it.
const BROKER: Duration = Duration::from_secs(20);
/// How long a running bridge may take to see what it is to forget.
const BRIDGE: Duration = Duration::from_secs(10);
/// Between two looks at the store.
const LOOK: Duration = Duration::from_millis(100);

/// Purges an agent; one that is online only by `force`.
pub(super) async fn purge(
    settings: &Settings,
    agent: &AgentId,
    force: bool,
    out: &mut impl io::Write,
) -> anyhow::Result<()> {
    let database = settings.database();
    let mut upstream = None;
    let mut known = false;
    if database.exists() {
        let reader = Reader::open(&database)?;
        let row = reader.agents()?.into_iter().find(|row| row.agent == *agent);
        anyhow::ensure!(
            force || !row.as_ref().is_some_and(|row| row.online),
            "{agent} is online: stop its agent first, or it comes back at once (--force purges it all the same)"
        );
        known = row.is_some();
        upstream = upstreams(&reader)?.remove(agent);
    }
    let cleared = tokio::time::timeout(BROKER, clear(settings, agent)).await;
    cleared.with_context(|| format!("the broker {} did not answer in time", settings.mqtt.mqtt_url))??;
    writeln!(out, "{agent}: its retained status and snapshot are cleared at the broker")?;
    if known {
        forget(settings, agent).await?;
        writeln!(out, "{agent}: its state and history are removed from {}", database.display())?;
    } else {
        writeln!(out, "{agent}: there was nothing of it in {}", database.display())?;
    }
    if let Some(upstream) = upstream {
        let (server, id) = upstream.place();
        writeln!(
            out,
            "{agent}: the server {server} keeps it as agent {id}; delete it there, on the server's own page"
        )?;
    }
    Ok(())
}

/// Clears what the broker keeps of the agent: a retained message goes by one of zero bytes.
async fn clear(settings: &Settings, agent: &AgentId) -> anyhow::Result<()> {
    let id = settings.client_id("radar-purge");
    let mut session = Session::start(settings.mqtt.session(id), Box::new(|_| None))?;
    let mut waiting = 0;
    loop {
        match session.next().await {
            Notice::Connected { .. } => {
                for (key, channel) in [(1, Channel::Status), (2, Channel::Snapshot)] {
                    session.publish(
                        key,
                        Message {
                            topic: settings.prefix.topic(agent, &channel),
                            payload: Bytes::new(),
                            retain: true,
                            qos: Qos::AtLeastOnce,
                            content_type: None,
                            expiry: None,
                        },
                    )?;
                    waiting += 1;
                }
            }
            Notice::Delivered { outcome: Delivery::Refused(text), .. } => {
                anyhow::bail!(
                    "the broker refuses to clear topics of {agent}: {text}; the account needs write access to its status and snapshot"
                );
            }
            Notice::Delivered { .. } => {
                waiting -= 1;
                if waiting == 0 {
                    // The messages are acknowledged; a goodbye that is lost changes nothing.
                    let _ = session.disconnect(Duration::from_secs(1)).await;
                    return Ok(());
                }
            }
            Notice::Disconnected { reason, .. } => {
                anyhow::bail!("no connection to the broker {}: {reason}", settings.mqtt.mqtt_url)
            }
            Notice::Received(_) | Notice::Subscribed { .. } | Notice::SubscriptionRefused { .. } => {}
        }
    }
}

/// A running bridge sees the cleared topics and removes the rows; without one they are removed here.
async fn forget(settings: &Settings, agent: &AgentId) -> anyhow::Result<()> {
    let database = settings.database();
    if is_running(&settings.data_dir) == Some(false) {
        let (store, _) = Store::open(&database, settings.keep)?;
        store.commit(Arc::new([Write::Purge(agent.clone())])).await?;
        store.close().await;
        return Ok(());
    }
    let reader = Reader::open(&database)?;
    let seen = async {
        while reader.agents()?.iter().any(|row| row.agent == *agent) {
            tokio::time::sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(BRIDGE, seen).await.map_err(|_| {
        anyhow::anyhow!(
            "the running bridge still knows {agent}: see that it is connected to {}, then purge again",
            settings.mqtt.mqtt_url
        )
    })?
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;
    use crate::store::rows::AgentRow;

    async fn settings(data_dir: &Path, online: bool) -> Settings {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings = Settings::load(None, |name| match name {
            "DATA_DIR" => Some(data_dir.display().to_string()),
            "MQTT_URL" => Some(format!("mqtt://{nobody}")),
            _ => None,
        })
        .unwrap();
        let (store, _) = Store::open(&settings.database(), settings.keep).unwrap();
        let row = AgentRow { online, ..AgentRow::example() };
        store.commit(Arc::new([Write::Agent(Box::new(row))])).await.unwrap();
        store.close().await;
        settings
    }

    async fn error(online: bool, force: bool) -> String {
        let room = tempfile::tempdir().unwrap();
        let settings = settings(room.path(), online).await;
        let mut out = Vec::new();
        let error = purge(&settings, &"pi".parse().unwrap(), force, &mut out).await.unwrap_err();
        let reader = Reader::open(&settings.database()).unwrap();
        assert_eq!((reader.agents().unwrap().len(), out.len()), (1, 0), "nothing is forgotten: {error:#}");
        format!("{error:#}")
    }

    // E3
    #[tokio::test]
    async fn an_agent_that_is_online_is_not_purged() {
        assert!(error(true, false).await.contains("is online: stop its agent first"));
    }

    // E3
    #[tokio::test]
    async fn without_the_broker_nothing_is_forgotten() {
        for (online, force) in [(true, true), (false, false)] {
            let error = error(online, force).await;
            assert!(error.contains("no connection to the broker mqtt://127.0.0.1:"), "{error}");
        }
    }

    // E3
    #[tokio::test]
    async fn where_no_bridge_runs_the_rows_are_removed_here() {
        let room = tempfile::tempdir().unwrap();
        let settings = settings(room.path(), false).await;
        for _ in 0..2 {
            forget(&settings, &"pi".parse().unwrap()).await.unwrap();
            assert!(Reader::open(&settings.database()).unwrap().agents().unwrap().is_empty());
        }
    }
}
