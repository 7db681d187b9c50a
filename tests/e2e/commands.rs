//! Commands, from the person who asks to the container and back, and from those who must not be heard.

use anyhow::{Context, Result, ensure};
use radar_tests::broker::{Broker, Options, Tap};
use radar_tests::engine::{Engine, Spec};
use radar_tests::observer::{EngineEvent, Observer};
use radar_tests::wait::until;
use serde_json::Value;

use crate::world::{self, DEADLINE, Program};

/// The exit codes of `radar-bridge command`.
const SUCCEEDED: i32 = 0;
const REFUSED: i32 = 2;
const FAILED: i32 = 3;

const COMMAND: &str = "radar/v1/pi/command";

struct Stage {
    engine: Engine,
    broker: Broker,
    bridge: Program,
    agent: Program,
    tap: Tap,
}

impl Stage {
    /// A bridge, and an agent that knows its key and allows this.
    async fn set(allow: &str) -> Result<Self> {
        let engine = Engine::shared().await?;
        let broker = Broker::open(&Options::default()).await?;
        let tap = broker.tap(&["radar/v1/+/command"]).await?;
        let bridge = world::bridge(&broker.url())?;
        let key = bridge.call(&["key"]).await?;
        let key = String::from_utf8(key.stdout).context("a key is text")?;
        ensure!(key.starts_with("ed25519:") && key.lines().count() == 1, "{key}");
        let mut agent = world::agent("pi", &engine.host(), &broker.url())?;
        agent.set("AGENT_COMMAND_KEY", key.trim());
        agent.set("AGENT_ALLOW", allow);
        bridge.start().await?;
        agent.start().await?;
        let ready = |line: &Value| line["state"] == "online" && line["containers"]["complete"] == true;
        bridge.wait_agent("pi", "the agent", ready).await?;
        Ok(Self { engine, broker, bridge, agent, tap })
    }

    /// A running container of which the agent has heard; its name.
    async fn container(&self, purpose: &str, spec: Spec) -> Result<String> {
        let name = self.engine.unique(purpose);
        self.engine.run(&name, spec).await?;
        until("the container at the bridge", DEADLINE, async || {
            let output = self.bridge.call(&["events", "pi", "--json"]).await?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let started = |line: &str| line.contains(&name) && line.contains("\"start\"");
            if text.lines().any(started) { Ok(()) } else { Err(anyhow::anyhow!("{} events", text.lines().count())) }
        })
        .await?;
        Ok(name)
    }

    /// Asks as a person does; the exit code and the last outcome.
    async fn ask(&self, words: &[&str]) -> Result<(i32, Value)> {
        let arguments: Vec<&str> = ["command", "pi"].iter().chain(words).chain(&["--json"]).copied().collect();
        let output = self.bridge.call(&arguments).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.lines().last().with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok((output.status.code().context("a code")?, serde_json::from_str(last).with_context(|| text.clone())?))
    }

    async fn state(&self, name: &str) -> Result<String> {
        let state = self.engine.inspect(name).await?.state.and_then(|state| state.status);
        Ok(state.map(|state| state.to_string()).unwrap_or_default())
    }

    /// What `audit` says, newest last.
    async fn audit(&self) -> Result<Vec<Value>> {
        let output = self.bridge.call(&["audit", "pi", "--json"]).await?;
        let text = String::from_utf8(output.stdout).context("its output is text")?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}

// DM4, E5
#[tokio::test]
async fn a_person_asks_and_the_container_obeys() -> Result<()> {
    let stage = Stage::set("operate,manage").await?;
    let name = stage.container("obeys", Spec::default()).await?;
    for (words, state) in [
        (&["stop", &name, "--timeout", "1"][..], "exited"),
        (&["stop", &name], "exited"),
        (&["start", &name], "running"),
        (&["restart", &name, "--timeout", "1"], "running"),
        (&["pause", &name], "paused"),
        (&["unpause", &name], "running"),
        (&["kill", &name], "exited"),
    ] {
        let (code, outcome) = stage.ask(words).await?;
        assert_eq!((code, outcome["state"].as_str()), (SUCCEEDED, Some("succeeded")), "{words:?}: {outcome}");
        assert_eq!(stage.state(&name).await?, state, "{words:?}");
    }
    let other = format!("{name}-2");
    assert_eq!(stage.ask(&["rename", &name, "--to", &other]).await?.0, SUCCEEDED);
    assert_eq!(stage.state(&other).await?, "exited");
    until("the new name at the agent", DEADLINE, async || {
        let (code, outcome) = stage.ask(&["start", &other]).await?;
        if code == SUCCEEDED { Ok(()) } else { Err(anyhow::anyhow!("{outcome}")) }
    })
    .await?;
    assert_eq!(stage.ask(&["remove", &other]).await?.0, FAILED, "it runs");
    assert_eq!(stage.ask(&["remove", &other, "--force"]).await?.0, SUCCEEDED);
    assert!(stage.engine.inspect(&other).await.is_err());
    Ok(())
}

// E7, DM20, DM5
#[tokio::test]
async fn the_host_decides_what_it_does() -> Result<()> {
    let stage = Stage::set("observe,restart,remove").await?;
    let plain = stage.container("plain", Spec::default()).await?;
    let guarded = stage.container("guarded", Spec::default().label("radar.protect", "true")).await?;
    let denying = stage.container("denying", Spec::default().label("radar.deny", "restart")).await?;
    for (words, word) in [
        (&["stop", &plain][..], "policy"),
        (&["restart", &denying], "policy"),
        (&["restart", &guarded], "protected"),
        (&["remove", &guarded, "--force"], "protected"),
    ] {
        let (code, outcome) = stage.ask(words).await?;
        let reason = outcome["reason"].as_str().unwrap_or_default();
        assert_eq!(code, REFUSED, "{words:?}: {outcome}");
        assert!(reason.starts_with(word), "{words:?}: {outcome}");
    }
    for name in [&plain, &guarded, &denying] {
        assert_eq!(stage.state(name).await?, "running", "{name}");
    }
    assert_eq!(stage.ask(&["restart", "nobody-is-called-so"]).await?.0, FAILED);
    assert_eq!(stage.ask(&["inspect", &plain]).await?.0, SUCCEEDED);
    assert_eq!(stage.ask(&["images"]).await?.0, SUCCEEDED);
    let states: Vec<_> = stage.audit().await?.iter().map(|line| line["state"].to_string()).collect();
    assert_eq!(states.len(), 7, "{states:?}");
    assert_eq!(states.iter().filter(|state| state.contains("refused")).count(), 4, "{states:?}");
    Ok(())
}

// E6, E5
#[tokio::test]
async fn what_the_bridge_did_not_just_sign_for_this_agent_is_not_done() -> Result<()> {
    let stage = Stage::set("all").await?;
    let name = stage.container("replayed", Spec::default()).await?;
    let observer = Observer::start(&stage.engine);
    let restarts = || observer.events().iter().filter(|event| event.name == name && event.kind() == "restart").count();
    assert_eq!(stage.ask(&["restart", &name, "--timeout", "0"]).await?.0, SUCCEEDED);
    let signed = stage.tap.seen().first().context("the command on the wire")?.payload.clone();
    let mut changed = signed.clone();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let unsigned = b"eyJhbGciOiJub25lIn0.eyJhdWQiOiJwaSJ9.".to_vec();
    for attack in [signed.clone(), changed, unsigned, vec![b'x'; 100_000], Vec::new()] {
        stage.broker.publish_raw(COMMAND, attack, false).await?;
    }
    stage.broker.publish_raw(COMMAND, signed.clone(), true).await?;
    // Another life of the agent, which finds a retained command of before.
    stage.agent.kill9().await?;
    stage.agent.start().await?;
    for _ in 0..3 {
        stage.broker.publish_raw(COMMAND, signed.clone(), false).await?;
    }
    stage.broker.publish_raw(COMMAND, Vec::new(), true).await?;
    // Another host, with the same key, to which somebody redirects it.
    assert_eq!(stage.ask(&["pause", &name]).await?.0, SUCCEEDED, "the right ones are still heard");
    assert_eq!(restarts(), 1);
    let line = stage.agent.log().lines().filter(|line| line.contains("on the command topic are ignored")).count();
    ensure!((1..=3).contains(&line), "{}", stage.agent.log());
    Ok(())
}

// E5
#[tokio::test]
async fn a_command_that_a_crash_interrupts_ends_as_that() -> Result<()> {
    let stage = Stage::set("operate").await?;
    let name = stage.container("stubborn", Spec::stubborn()).await?;
    let observer = Observer::start(&stage.engine);
    let killed = async {
        let asked = |event: &EngineEvent| event.name == name && event.kind() == "kill";
        observer.wait_for("the engine to begin with the stop", DEADLINE, asked).await?;
        stage.agent.kill9().await?;
        stage.agent.start().await
    };
    let words = ["stop", &name, "--timeout", "20"];
    let (asked, killed) = tokio::join!(stage.ask(&words), killed);
    killed?;
    let (code, outcome) = asked?;
    assert_eq!(code, FAILED, "{outcome}");
    assert!(outcome["reason"].as_str().is_some_and(|reason| reason.starts_with("interrupted")), "{outcome}");
    Ok(())
}

// E5, E1
#[tokio::test]
async fn an_outcome_survives_a_broker_that_dies_meanwhile() -> Result<()> {
    let stage = Stage::set("operate").await?;
    let name = stage.container("outcome", Spec::stubborn()).await?;
    let observer = Observer::start(&stage.engine);
    let faulted = async {
        let asked = |event: &EngineEvent| event.name == name && event.kind() == "kill";
        observer.wait_for("the engine to begin with the stop", DEADLINE, asked).await?;
        stage.broker.kill9().await?;
        until("the container stopped", DEADLINE, async || {
            let state = stage.state(&name).await?;
            if state == "exited" { Ok(()) } else { Err(anyhow::anyhow!(state)) }
        })
        .await?;
        stage.broker.start().await
    };
    let words = ["stop", &name, "--timeout", "3"];
    let (asked, faulted) = tokio::join!(stage.ask(&words), faulted);
    faulted?;
    assert_eq!(asked?.0, SUCCEEDED);
    Ok(())
}

// E5
#[tokio::test]
async fn an_agent_without_a_key_takes_no_commands_and_says_so() -> Result<()> {
    let mut stage = Stage::set("all").await?;
    stage.agent.stop().await?;
    stage.agent.set("AGENT_COMMAND_KEY", "");
    stage.agent.start().await?;
    let name = stage.container("unheard", Spec::default()).await?;
    let (code, answer) = stage.ask(&["restart", &name]).await?;
    assert_eq!(code, REFUSED, "{answer}");
    ensure!(answer["error"].as_str().is_some_and(|error| error.contains("AGENT_COMMAND_KEY")), "{answer}");
    assert_eq!(stage.state(&name).await?, "running");
    let topic = "radar/v1/pi/status";
    let seen = stage.broker.retained(topic).await?.context("its status")?;
    let status: radar_wire::status::Status = radar_wire::codec::decode(None, &seen.payload)?;
    assert_eq!((status.allows.len(), status.can.contains(&"commands".into())), (0, false));
    Ok(())
}
