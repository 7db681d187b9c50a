//! An agent's account in the wrong hands: what it clears at the broker is its own, what the bridge knows is not.

use anyhow::{Result, ensure};
use radar_tests::engine::{Engine, Spec};
use radar_tests::server::Server;
use radar_tests::wait::until;
use serde_json::Value;

use super::agent_with;
use super::peer::Peer;
use super::relayed::shown;
use super::shipped::Shipped;
use crate::world::DEADLINE;

/// All that the bridge tells of the agent `pi`: how it is, its account at the server, its history.
async fn remembered(shipped: &Shipped) -> Result<(Value, String)> {
    Ok((shipped.bridge.agent_line("pi").await?, shipped.call(&["events", "pi", "--json"]).await?))
}

/// Publishes zero bytes on what an agent retains, and sees that the bridge has had them: it complains of what comes
/// after them, on a channel that is not to have been complained of before.
async fn clear(shipped: &Shipped, thief: &mut Peer, after: &str) -> Result<()> {
    for channel in ["status", "snapshot"] {
        ensure!(thief.publish(&format!("radar/v1/pi/{channel}"), "", true).await?, "{channel}");
    }
    ensure!(thief.publish(&format!("radar/v1/pi/{after}"), "x", false).await?);
    shipped.bridge.wait_log(&format!("pi: its {after} was dropped")).await
}

// E3, E8
#[tokio::test]
async fn an_agents_account_erases_nothing_at_the_bridge_and_the_operator_does() -> Result<()> {
    let (engine, server) = (Engine::shared().await?, Server::start().await?);
    let mut shipped = Shipped::start().await?;
    for (name, value) in [("URL", &*server.url()), ("USERNAME", "admin"), ("PASSWORD", "secret")] {
        shipped.bridge.set(&format!("SERVER_{name}"), value);
    }
    shipped.bridge.start().await?;
    let handed = shipped.add(&["pi", "--server"]).await?;
    let agent = agent_with(&handed, &engine)?;
    agent.start().await?;
    let known = shown(&server, "pi", "online").await?;
    let name = engine.unique("erased");
    engine.run(&name, Spec::default()).await?;
    until("a history", DEADLINE, async || {
        let (_, history) = remembered(&shipped).await?;
        if history.contains(&name) { Ok(()) } else { Err(anyhow::anyhow!(history)) }
    })
    .await?;
    agent.stop().await?;
    shipped.bridge.wait_agent("pi", "the goodbye", |line| line["state"] == "offline").await?;
    shown(&server, "pi", "offline").await?;
    let before = remembered(&shipped).await?;
    assert_eq!(before.0["upstream"]["id"], known.id.as_str());

    let password = &handed["MQTT_PASSWORD"];
    let mut thief = Peer::entered(shipped.port, "radar-agent-pi", ("radar-agent-pi", password)).await?;
    clear(&shipped, &mut thief, "event").await?;
    assert_eq!(remembered(&shipped).await?, before);
    // Nor does another life of the bridge take what is gone at the broker for a purge.
    shipped.bridge.stop().await?;
    shipped.bridge.start().await?;
    clear(&shipped, &mut thief, "outcome").await?;
    assert_eq!(remembered(&shipped).await?, before);
    // The host is the same one at the server.
    drop(thief);
    agent.start().await?;
    assert_eq!(shown(&server, "pi", "online").await?.id, known.id);
    assert_eq!(server.agents().len(), 1, "{:?}", server.agents());
    agent.stop().await?;
    shipped.bridge.wait_agent("pi", "the goodbye", |line| line["state"] == "offline").await?;
    let log = shipped.bridge.log();
    ensure!(!log.contains("purged") && !log.contains("its status was dropped"), "{log}");

    // By the operator's word all of it goes, and zero bytes do not bring it back.
    let said = shipped.call(&["purge", "pi"]).await?;
    ensure!(said.contains("its state and history are removed"), "{said}");
    let mut thief = Peer::entered(shipped.port, "radar-agent-pi", ("radar-agent-pi", password)).await?;
    clear(&shipped, &mut thief, "snapshot").await?;
    assert!(shipped.bridge.agent_lines().await?.is_empty());
    assert_eq!(shipped.call(&["events", "pi", "--json"]).await.unwrap_or_default(), "");
    let log = shipped.bridge.log();
    ensure!(log.contains("pi: to be purged, by uid:") && log.contains("pi purged"), "{log}");
    shipped.bridge.stop().await
}
