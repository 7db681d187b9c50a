//! Forgets an agent that is gone for good: its retained messages at the broker, then its rows in the store, by a word to
//! the bridge that runs. What an agent can publish is no such word. What the server keeps is the server's; it is said.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use radar_link::mqtt::{Delivery, Message, Notice, Qos, Session};
use radar_wire::codec;
use radar_wire::status::{Presence, Reason, Status};
use radar_wire::topic::{AgentId, Channel};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::control::{Forget, NO_REQUEST, Reply, socket};
use crate::instance::is_running;
use crate::relay::Standing;
use crate::settings::Settings;
use crate::store::rows::{AgentRow, Write};
use crate::store::{Reader, Store, UpstreamState};

/// How long the broker may take for all of it.
const BROKER: Duration = Duration::from_secs(20);
/// How long a running bridge may take to answer, and then to forget.
const BRIDGE: Duration = Duration::from_secs(10);
/// The most bytes of its answer.
const ANSWER: u64 = 8192;
/// How long a running bridge may take to see that an agent is gone, and to tell the server.
const SERVER: Duration = Duration::from_secs(10);
/// Between two looks at the store.
const LOOK: Duration = Duration::from_millis(100);

/// What is done about an agent that the bridge shows as online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Online {
    /// Nothing: it is not purged.
    Refused,
    /// It is purged all the same, and comes back when it says its next word.
    Purged,
    /// It cannot come back; the bridge does not know that yet, and is told in its place, as by its last will.
    Lost,
}

/// Purges an agent.
pub(super) async fn purge(
    settings: &Settings,
    agent: &AgentId,
    online: Online,
    out: &mut impl io::Write,
) -> anyhow::Result<()> {
    let database = settings.database();
    let running = is_running(&settings.data_dir);
    let (mut row, mut account) = (None, None);
    if database.exists() {
        let reader = Reader::open(&database)?;
        row = reader.agents()?.into_iter().find(|row| row.agent == *agent);
        let is_online = row.as_ref().is_some_and(|row| row.online);
        anyhow::ensure!(
            online != Online::Refused || !is_online,
            "{agent} is online: stop its agent first, or it comes back at once (--force purges it all the same)"
        );
        // Without a bridge it would wait at the broker, and make the agent known again when one starts.
        if let (Online::Lost, Some(row)) = (online, row.as_ref().filter(|row| row.online && running != Some(false))) {
            say_lost(settings, row).await?;
        }
        account = account_of(settings, &reader, agent)?;
        if (online == Online::Lost || !is_online) && running == Some(true) {
            account = told(settings, &reader, agent).await?;
        }
    }
    let cleared = [Channel::Status, Channel::Snapshot].map(|channel| (channel, Bytes::new(), None));
    publish(settings, agent, &cleared).await?;
    writeln!(out, "{agent}: its retained status and snapshot are cleared at the broker")?;
    if row.is_some() {
        let asked = forget(settings, agent).await?;
        writeln!(out, "{agent}: its state and history are removed from {}", database.display())?;
        if !asked {
            writeln!(
                out,
                "{agent}: no bridge runs; if the broker has messages for it that make the agent known again when it starts, purge again"
            )?;
        }
    } else {
        writeln!(out, "{agent}: there was nothing of it in {}", database.display())?;
    }
    if let Some(account) = account {
        let shown = if is_untold(&account) { ", shown as it was last" } else { "" };
        let UpstreamState { server, upstream, .. } = account;
        writeln!(
            out,
            "{agent}: the server {server} keeps it as agent {upstream}{shown}; delete it there, on the server's own page"
        )?;
    }
    Ok(())
}

/// Its account at the server that is set, or else at one of before.
fn account_of(settings: &Settings, reader: &Reader, agent: &AgentId) -> anyhow::Result<Option<UpstreamState>> {
    let own = |account: &UpstreamState| settings.upstream.as_ref().is_some_and(|set| *set.url == *account.server);
    let accounts = reader.upstreams()?.into_iter().filter(|account| account.agent == *agent);
    Ok(accounts.max_by_key(own))
}

/// Whether the server may show it as online.
fn is_untold(account: &UpstreamState) -> bool {
    account.standing == Standing::Enrolled.as_str() && !account.told_offline
}

/// Waits a while until the running bridge has seen that the agent is gone, after which nothing of it is on its way, and has
/// told the server, since nobody tells it later; the account as it is then.
async fn told(settings: &Settings, reader: &Reader, agent: &AgentId) -> anyhow::Result<Option<UpstreamState>> {
    let seen = async {
        while reader.agents()?.iter().any(|row| row.agent == *agent && row.online)
            || account_of(settings, reader, agent)?.as_ref().is_some_and(is_untold)
        {
            tokio::time::sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    if let Ok(seen) = tokio::time::timeout(SERVER, seen).await {
        seen?;
    }
    account_of(settings, reader, agent)
}

/// Says of an agent what its last will would.
async fn say_lost(settings: &Settings, row: &AgentRow) -> anyhow::Result<()> {
    let Some(status) = row.status.as_ref().and_then(|bytes| codec::decode::<Status>(None, bytes).ok()) else {
        return Ok(());
    };
    let lost = Status { state: Presence::Offline, reason: Reason::Lost, session: row.session, ..status };
    let payload = codec::encode(&lost)?;
    let content_type = Some(payload.content_type.as_str());
    publish(settings, &row.agent, &[(Channel::Status, payload.bytes.into(), content_type)]).await
}

/// Publishes these, retained, on an agent's topics, and waits until the broker has them.
async fn publish(
    settings: &Settings,
    agent: &AgentId,
    messages: &[(Channel, Bytes, Option<&'static str>)],
) -> anyhow::Result<()> {
    let sent = tokio::time::timeout(BROKER, send(settings, agent, messages)).await;
    sent.with_context(|| format!("the broker {} did not answer in time", settings.mqtt.mqtt_url))?
}

async fn send(
    settings: &Settings,
    agent: &AgentId,
    messages: &[(Channel, Bytes, Option<&'static str>)],
) -> anyhow::Result<()> {
    let id = settings.client_id("radar-purge");
    let mut session = Session::start(settings.mqtt.session(id), Box::new(|_| None))?;
    let mut waiting = 0;
    loop {
        match session.next().await {
            Notice::Connected { .. } => {
                for (key, (channel, payload, content_type)) in (1..).zip(messages) {
                    session.publish(
                        key,
                        Message {
                            topic: settings.prefix.topic(agent, channel),
                            payload: payload.clone(),
                            retain: true,
                            qos: Qos::AtLeastOnce,
                            content_type: *content_type,
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

/// A running bridge removes the rows when it is asked; without one they are removed here. Whether one was asked.
async fn forget(settings: &Settings, agent: &AgentId) -> anyhow::Result<bool> {
    let database = settings.database();
    if is_running(&settings.data_dir) == Some(false) {
        let (store, _) = Store::open(&database, settings.keep)?;
        store.commit(Arc::new([Write::Purge(agent.clone())])).await?;
        store.close().await;
        return Ok(false);
    }
    let asked = tokio::time::timeout(BRIDGE, ask(&settings.data_dir, agent)).await;
    asked.context("the running bridge does not answer: restart it, then purge again")??;
    let reader = Reader::open(&database)?;
    let seen = async {
        while reader.agents()?.iter().any(|row| row.agent == *agent) {
            tokio::time::sleep(LOOK).await;
        }
        anyhow::Ok(true)
    };
    tokio::time::timeout(BRIDGE, seen).await.map_err(|_| {
        anyhow::anyhow!(
            "the running bridge still knows {agent}: see that the agent has stopped, and what the bridge logs, then purge again"
        )
    })?
}

/// Gives the running bridge the word.
async fn ask(data_dir: &Path, agent: &AgentId) -> anyhow::Result<()> {
    let path = socket(data_dir);
    let mut stream = UnixStream::connect(&path).await.with_context(|| {
        format!("no bridge answers at {}: run this as its user, or restart it, then purge again", path.display())
    })?;
    let mut line = serde_json::to_vec(&Forget { forget: agent.clone() })?;
    line.push(b'\n');
    stream.write_all(&line).await.context("the bridge takes no request")?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER)).read_line(&mut answer).await.context("the bridge gives no answer")?;
    match serde_json::from_str(&answer) {
        Ok(Reply::Forgotten { .. }) => Ok(()),
        Ok(Reply::Refused { error }) if !error.starts_with(NO_REQUEST) => {
            anyhow::bail!("the running bridge does not forget {agent}: {error}")
        }
        _ => anyhow::bail!("the running bridge gives no answer of this version: restart it, then purge again"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use radar_link::secret::Secret;
    use tokio::net::UnixListener;

    use super::*;
    use crate::instance::Instance;
    use crate::relay::{Credential, Enrollment};
    use crate::settings::UpstreamSettings;
    use crate::store::rows::UpstreamRow;

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

    async fn error(online: bool, how: Online) -> String {
        let room = tempfile::tempdir().unwrap();
        let settings = settings(room.path(), online).await;
        let mut out = Vec::new();
        let error = purge(&settings, &"pi".parse().unwrap(), how, &mut out).await.unwrap_err();
        let reader = Reader::open(&settings.database()).unwrap();
        assert_eq!((reader.agents().unwrap().len(), out.len()), (1, 0), "nothing is forgotten: {error:#}");
        format!("{error:#}")
    }

    // E3
    #[tokio::test]
    async fn an_agent_that_is_online_is_not_purged() {
        assert!(error(true, Online::Refused).await.contains("is online: stop its agent first"));
    }

    // E3
    #[tokio::test]
    async fn without_the_broker_nothing_is_forgotten() {
        for (online, how) in [(true, Online::Purged), (true, Online::Lost), (false, Online::Refused)] {
            let error = error(online, how).await;
            assert!(error.contains("no connection to the broker mqtt://127.0.0.1:"), "{error}");
        }
    }

    // E3
    #[tokio::test]
    async fn where_no_bridge_runs_the_rows_are_removed_here() {
        let room = tempfile::tempdir().unwrap();
        let settings = settings(room.path(), false).await;
        for _ in 0..2 {
            assert!(!forget(&settings, &"pi".parse().unwrap()).await.unwrap());
            assert!(Reader::open(&settings.database()).unwrap().agents().unwrap().is_empty());
        }
    }

    // E3
    #[tokio::test]
    async fn of_two_servers_the_one_that_is_set_counts() {
        let room = tempfile::tempdir().unwrap();
        let mut settings = settings(room.path(), false).await;
        let (store, _) = Store::open(&settings.database(), settings.keep).unwrap();
        let row = |server: &str| {
            let token = Credential::Token(Secret::new("once"));
            let enrollment = Enrollment::granted("up-1".parse().unwrap(), token);
            Write::Upstream(Box::new(UpstreamRow { agent: "pi".parse().unwrap(), server: server.into(), enrollment }))
        };
        store.commit(Arc::new(["http://a", "http://b"].map(row))).await.unwrap();
        store.close().await;
        let reader = Reader::open(&settings.database()).unwrap();
        for (set, found) in [(None, "http://b"), (Some("http://a"), "http://a"), (Some("http://b"), "http://b")] {
            settings.upstream = set.map(|url| UpstreamSettings { url: url.to_owned(), login: None, identity: None });
            let account = account_of(&settings, &reader, &"pi".parse().unwrap()).unwrap().unwrap();
            assert_eq!(account.server, found, "{set:?}");
        }
    }

    /// Has a bridge that runs forget an agent. It answers with this line, if at all, and then removes the rows or not.
    async fn asked(answer: Option<&str>, removes: bool) -> anyhow::Result<bool> {
        let room = tempfile::tempdir().unwrap();
        let (settings, agent) = (settings(room.path(), false).await, "pi".parse().unwrap());
        let _instance = Instance::take(room.path()).unwrap();
        let Some(answer) = answer else { return forget(&settings, &agent).await };
        let listener = UnixListener::bind(socket(room.path())).unwrap();
        let bridge = async {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            assert_eq!(line, "{\"forget\":\"pi\"}\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            drop(stream);
            if removes {
                let (store, _) = Store::open(&settings.database(), settings.keep).unwrap();
                store.commit(Arc::new([Write::Purge("pi".parse().unwrap())])).await.unwrap();
                store.close().await;
            }
        };
        tokio::join!(forget(&settings, &agent), bridge).0
    }

    // E3
    #[tokio::test]
    async fn a_bridge_that_runs_is_asked_and_removes_the_rows() {
        assert!(asked(Some("{\"forgotten\":\"pi\"}\n"), true).await.unwrap());
    }

    // E3
    #[tokio::test]
    async fn a_bridge_that_does_not_forget_leaves_the_rows_and_it_is_said_what_to_do() {
        let older = "{\"error\":\"this is not a request: missing field `agent` at line 1 column 15\"}\n";
        for (answer, said) in [
            (None, "control.sock: run this as its user, or restart it, then purge again"),
            (Some("{\"error\":\"the disk is full\"}\n"), "does not forget pi: the disk is full"),
            (Some(older), "gives no answer of this version: restart it"),
            (Some("{\"later\":1}\n"), "gives no answer of this version: restart it"),
            (Some(""), "gives no answer of this version: restart it"),
        ] {
            let error = format!("{:#}", asked(answer, false).await.unwrap_err());
            assert!(error.contains(said), "{answer:?}: {error}");
        }
    }
}
