//! How long a command takes from the one who asks to its outcome, beyond the same call made to the engine itself.

use anyhow::{Context, Result, ensure};
use radar_link::time::Clock;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::plan::Plan;
use super::programs::Bridge;
use super::report::{Figure, Goal, Report};
use super::sample::{Sample, milliseconds};
use super::stage::{Stage, Way, wait_snapshot};
use crate::engine::Container;

const AGENT: &str = "commanded";

pub(super) async fn measure(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    tracing::info!("{} commands", plan.commands);
    let tap = stage.broker.tap(&["radar/v1/commanded/snapshot"]).await?;
    let bridge = stage.programs.bridge(&[
        ("MQTT_URL", stage.broker.url()),
        ("BRIDGE_LISTEN", format!("127.0.0.1:{}", crate::port::free()?)),
    ])?;
    let key = bridge.key().await?;
    bridge.start()?;
    let settings = [("AGENT_COMMAND_KEY", key), ("AGENT_ALLOW", "operate".to_owned())];
    let agent = stage.agent(AGENT, Way::Tls, &settings)?;
    wait_snapshot(&tap, &agent, AGENT, stage.engine.ids().await?.len()).await?;
    let [one, other, ..] = &*stage.containers else { anyhow::bail!("there are not two containers") };
    let clock = Clock::start();
    let (mut commands, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..plan.commands {
        let asked = clock.now().mono;
        ask(&bridge, "pause", one).await?;
        commands.push(clock.now().mono - asked);
        let called = clock.now().mono;
        stage.engine.pause(&other.id).await?;
        calls.push(clock.now().mono - called);
        ask(&bridge, "unpause", one).await?;
        stage.engine.unpause(&other.id).await?;
    }
    let sample = |times: Vec<_>| times.into_iter().map(milliseconds).collect::<Sample>();
    let (commands, calls) = (sample(commands), sample(calls));
    report.add(Figure {
        name: "command → its outcome, added: median".to_owned(),
        unit: "ms",
        goal: Goal::AtMost(15.0),
        measured: commands.median() - calls.median(),
        baseline: Some(calls.median()),
        how: format!(
            "{} times pause, asked at the bridge's socket, agent with TLS; slowest {:.1} ms in all. Stored, signed, sent, \
             verified and noted on the agent's disk before it is done. Baseline: the same call straight to the engine.",
            commands.len(),
            commands.quantile(1.0)
        ),
    });
    Ok(())
}

/// Asks as `radar-bridge command` does, until the end.
async fn ask(bridge: &Bridge, action: &str, container: &Container) -> Result<()> {
    let mut stream = UnixStream::connect(bridge.data().join("control.sock")).await.context("the bridge's socket")?;
    let request = json!({ "agent": AGENT, "cmd": { "do": action, "container": container.name }, "valid": 60 });
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    let mut lines = BufReader::new(stream).lines();
    let mut last = Value::Null;
    while let Some(line) = lines.next_line().await? {
        last = serde_json::from_str(&line)?;
    }
    ensure!(last["state"] == "succeeded", "{action}: {last}");
    Ok(())
}
