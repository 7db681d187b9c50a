//! The agent is killed or stopped while things happen. These engines are not shared: what the engine
//! remembers of its events for an agent that comes back is limited, and other tests would use it up.

use anyhow::Result;
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Kind};

use crate::world::history::{gaps, wait_complete};
use crate::world::scene::Scene;
use crate::world::site::Site;

struct Stage {
    broker: Broker,
    site: Site,
    scene: Scene,
}

async fn stage() -> Result<Stage> {
    stage_on(Kind::Docker).await
}

async fn stage_on(kind: Kind) -> Result<Stage> {
    let engine = Engine::start_as(kind).await?;
    let broker = Broker::open(&Options::default()).await?;
    let site = Site::open(&engine, &broker).await?;
    let scene = Scene::set(&engine, "agent-away", 2).await?;
    let ready = |line: &serde_json::Value| line["state"] == "online" && line["containers"]["total"] == 2;
    site.bridge.wait_agent("pi", "the containers at the bridge", ready).await?;
    Ok(Stage { broker, site, scene })
}

// E1, DM7
#[tokio::test]
async fn killed_while_events_happen_it_reads_them_from_the_engine() -> Result<()> {
    killed_while_events_happen(Kind::Docker).await
}

// E10, E1, DM7
#[tokio::test]
async fn killed_while_events_happen_it_reads_them_from_podmans_file() -> Result<()> {
    killed_while_events_happen(Kind::Podman).await
}

async fn killed_while_events_happen(kind: Kind) -> Result<()> {
    let Stage { broker: _broker, site, scene } = stage_on(kind).await?;
    let kill = async {
        scene.wait_seen(40).await?;
        site.agent.kill9().await?;
        scene.wait_seen(120).await?;
        site.agent.start().await
    };
    let (made, killed) = tokio::join!(scene.burst(160), kill);
    made?;
    killed?;
    site.wait_whole(&scene).await
}

// E1
#[tokio::test]
async fn what_the_engine_has_forgotten_is_a_gap() -> Result<()> {
    let Stage { broker: _broker, site, scene } = stage().await?;
    scene.burst(20).await?;
    wait_complete(&site.bridge, "pi", &scene.seen()).await?;
    site.agent.kill9().await?;
    scene.burst(700).await?;
    site.agent.start().await?;
    site.bridge.wait_agent("pi", "the gap", |line| line["gaps"]["unknown"] == 1).await?;
    // The engine keeps the last 256 and told them to the new agent.
    let seen = scene.seen();
    let history = wait_complete(&site.bridge, "pi", &seen[seen.len() - 200..]).await?;
    assert_eq!(gaps(&history), [None]);
    site.wait_server(&scene).await
}

// E1
#[tokio::test]
async fn agent_and_broker_killed_at_once_lose_nothing() -> Result<()> {
    let Stage { broker, site, scene } = stage().await?;
    let kill = async {
        scene.wait_seen(60).await?;
        let (broker_killed, agent_killed) = tokio::join!(broker.kill9(), site.agent.kill9());
        broker_killed?;
        agent_killed?;
        scene.wait_seen(120).await?;
        broker.start().await?;
        site.agent.start().await
    };
    let (made, killed) = tokio::join!(scene.burst(180), kill);
    made?;
    killed?;
    site.wait_whole(&scene).await
}

// E1
#[tokio::test]
async fn killed_while_the_broker_is_away_it_reads_them_from_its_disk() -> Result<()> {
    let Stage { broker, site, scene } = stage().await?;
    scene.burst(20).await?;
    broker.kill9().await?;
    // More than the engine remembers.
    scene.burst(500).await?;
    site.agent.kill9().await?;
    scene.burst(50).await?;
    site.agent.start().await?;
    scene.burst(20).await?;
    broker.start().await?;
    site.wait_whole(&scene).await
}

// E1
#[tokio::test]
async fn stopped_while_bridge_and_broker_are_away_it_keeps_what_they_may_have_lost() -> Result<()> {
    let Stage { broker, site, scene } = stage().await?;
    site.bridge.kill9().await?;
    scene.burst(400).await?;
    // The broker has them, for a bridge that is away, and forgets them.
    broker.kill9().await?;
    site.agent.stop().await?;
    scene.burst(50).await?;
    broker.start().await?;
    site.agent.start().await?;
    site.bridge.start().await?;
    site.wait_whole(&scene).await
}
