//! The bridge's commands over a real Mosquitto: who asks over the control socket or the HTTP API, what an agent gets, and
//! what is kept. The agent is played by the test.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_bridge::commanding::State;
use radar_bridge::store::Reader;
use radar_bridge::store::rows::CommandRow;
use radar_bridge::{Settings, listen, listen_api, serve_with_api};
use radar_link::jws::{self, PublicKey, SigningKey};
use radar_link::tasks::Owned;
use radar_tests::broker::{Broker, Options};
use radar_tests::wait::until;
use radar_wire::codec::{Payload, encode};
use radar_wire::command::{Claims, Command, MAX_COMMAND, Outcome, Progress};
use radar_wire::status::{AgentFacts, Presence, Reason, Status};
use radar_wire::topic::{AgentId, Channel, Prefix};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

mod api;

const DEADLINE: Duration = Duration::from_secs(30);

struct Stage {
    broker: Broker,
    room: tempfile::TempDir,
    api: SocketAddr,
    stop: CancellationToken,
    bridge: Owned<Result<()>>,
}

impl Stage {
    /// A broker, a bridge that is connected to it, and two agents that it knows.
    async fn set() -> Result<Self> {
        Self::at(Broker::open(&Options::default()).await?).await
    }

    async fn at(broker: Broker) -> Result<Self> {
        for agent in ["pi", "attic"] {
            publish(&broker, agent, &Channel::Status, &status(), true).await?;
        }
        let room = tempfile::tempdir()?;
        let (api, stop, bridge) = bridge(&broker, room.path()).await?;
        let stage = Self { broker, room, api, stop, bridge };
        until("a bridge that knows its agents", DEADLINE, async || {
            let answer = stage.ask(&json!({ "agent": "attic", "cmd": { "do": "volumes" }, "valid": 0 })).await?;
            let answer = answer.lines().next_line().await?.unwrap_or_default();
            ensure!(answer.contains("a command is valid for"), "{answer}");
            Ok(())
        })
        .await?;
        Ok(stage)
    }

    async fn ask(&self, request: &Value) -> Result<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(self.room.path().join("control.sock")).await?;
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        Ok(BufReader::new(stream))
    }

    fn key(&self) -> Result<PublicKey> {
        Ok(SigningKey::from_pkcs8(&std::fs::read(self.room.path().join("command.key"))?)?.public())
    }

    async fn outcome(&self, agent: &str, jti: &str, state: Progress) -> Result<()> {
        let result = (state == Progress::Succeeded).then(|| "done".into());
        let outcome = Outcome { jti: jti.into(), at: 7, state, reason: None, result };
        publish(&self.broker, agent, &Channel::Outcome, &outcome, false).await
    }

    fn audit(&self) -> Result<Vec<CommandRow>> {
        let mut rows = Vec::new();
        Reader::open(&self.room.path().join("bridge.db"))?.commands(None, None, |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    async fn stop_bridge(&mut self) -> Result<()> {
        self.stop.cancel();
        self.bridge.value().await
    }
}

async fn bridge(broker: &Broker, data_dir: &Path) -> Result<(SocketAddr, CancellationToken, Owned<Result<()>>)> {
    let settings = Settings::load(None, |name| match name {
        "DATA_DIR" => Some(data_dir.display().to_string()),
        "MQTT_URL" => Some(broker.url()),
        _ => None,
    })?;
    let (listener, api) = (listen("127.0.0.1:0".parse()?).await?, listen_api("127.0.0.1:0".parse()?).await?);
    let (address, stop) = (api.local_addr()?, CancellationToken::new());
    let bridge = Owned::spawn(serve_with_api(settings, listener, Some(api), stop.clone().cancelled_owned()));
    Ok((address, stop, bridge))
}

async fn publish(broker: &Broker, agent: &str, channel: &Channel, payload: &impl Payload, retain: bool) -> Result<()> {
    let topic = Prefix::default().topic(&agent.parse::<AgentId>()?, channel);
    let encoded = encode(payload)?;
    broker.publish_typed(&topic, encoded.bytes, retain, encoded.content_type.as_str()).await
}

fn status() -> Status {
    Status {
        state: Presence::Online,
        session: 1,
        reason: Reason::Start,
        at: 1,
        agent: AgentFacts::default(),
        engine: None,
        can: vec!["commands".into()],
        allows: Vec::new(),
        warnings: Vec::new(),
    }
}

async fn answer(stream: &mut BufReader<UnixStream>) -> Result<Value> {
    let mut line = String::new();
    tokio::time::timeout(DEADLINE, stream.read_line(&mut line)).await.context("no answer came in time")??;
    serde_json::from_str(&line).with_context(|| format!("`{line}` is no answer"))
}

// E6
#[tokio::test]
async fn a_command_reaches_its_agent_signed_and_its_outcome_who_asked() -> Result<()> {
    let mut stage = Stage::set().await?;
    let tap = stage.broker.tap(&["radar/v1/pi/command"]).await?;
    let cmd = json!({ "do": "stop", "container": "web", "timeout": 5 });
    let mut stream = stage.ask(&json!({ "agent": "pi", "cmd": cmd, "valid": 90, "as": "Ann" })).await?;
    let jti = answer(&mut stream).await?["jti"].as_str().context("a name")?.to_owned();

    let seen = tap.wait_for("the command", DEADLINE, |_| true).await?;
    assert_eq!((seen.content_type.as_deref(), seen.retain), (Some("application/jose"), false));
    let claims: Claims = jws::verify(&[stage.key()?], &seen.payload, MAX_COMMAND)?;
    assert_eq!((claims.aud.as_str(), &*claims.jti, claims.exp - claims.iat), ("pi", &*jti, 90));
    assert!(claims.sub.starts_with("uid:") && claims.sub.ends_with(" as Ann"), "{}", claims.sub);
    assert_eq!(claims.cmd, Command::Stop { container: "web".into(), timeout: Some(5) });
    // It is in the audit before anything was heard of it.
    assert_eq!(stage.audit()?[0].state, State::Issued);

    // Another agent cannot speak for this one.
    stage.outcome("attic", &jti, Progress::Refused).await?;
    stage.outcome("pi", &jti, Progress::Accepted).await?;
    assert_eq!(answer(&mut stream).await?["state"], "accepted");
    stage.outcome("pi", &jti, Progress::Succeeded).await?;
    let last = answer(&mut stream).await?;
    assert_eq!((&last["state"], &last["result"]), (&json!("succeeded"), &json!("done")));
    stage.outcome("pi", &jti, Progress::Accepted).await?;
    stage.stop_bridge().await?;
    let [row] = &*stage.audit()? else { panic!("not one command") };
    assert_eq!((row.state, row.result.as_deref(), &*row.who), (State::Succeeded, Some("\"done\""), &*claims.sub));
    Ok(())
}

// E6
#[tokio::test]
async fn a_command_for_nobody_fails_at_once_and_is_kept() -> Result<()> {
    let stage = Stage::set().await?;
    let mut stream = stage.ask(&json!({ "agent": "attic", "cmd": { "do": "images" }, "valid": 60 })).await?;
    answer(&mut stream).await?;
    let last = answer(&mut stream).await?;
    assert_eq!(last["state"], "failed");
    assert!(last["reason"].as_str().context("a reason")?.starts_with("agent-away: no agent listens for it"), "{last}");
    until("an audit that says so", DEADLINE, async || {
        ensure!(stage.audit()?[0].state == State::Failed);
        Ok(())
    })
    .await?;
    let mut stream = stage.ask(&json!({ "agent": "nobody", "cmd": { "do": "images" }, "valid": 60 })).await?;
    assert!(answer(&mut stream).await?["error"].as_str().context("an error")?.contains("no agent nobody is known"));
    Ok(())
}

// E6
#[tokio::test]
async fn a_bridge_that_is_started_again_still_takes_the_outcome_and_sends_nothing_twice() -> Result<()> {
    let mut stage = Stage::set().await?;
    let tap = stage.broker.tap(&["radar/v1/pi/command"]).await?;
    let mut stream = stage.ask(&json!({ "agent": "pi", "cmd": { "do": "images" }, "valid": 60 })).await?;
    let jti = answer(&mut stream).await?["jti"].as_str().context("a name")?.to_owned();
    tap.wait_for("the command", DEADLINE, |_| true).await?;
    stage.stop_bridge().await?;
    // What agents say while the bridge is away, the broker keeps.
    stage.outcome("pi", &jti, Progress::Succeeded).await?;
    (stage.api, stage.stop, stage.bridge) = bridge(&stage.broker, stage.room.path()).await?;
    until("an audit that has it", DEADLINE, async || {
        ensure!(stage.audit()?[0].state == State::Succeeded);
        Ok(())
    })
    .await?;
    assert_eq!(tap.count(), 1);
    Ok(())
}
