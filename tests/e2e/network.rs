//! The network between agent, broker and bridge is cut, and worse: it stalls.

use anyhow::Result;
use radar_tests::broker::{Broker, Options, Persistence};
use radar_tests::engine::Engine;
use radar_tests::proxy::{Direction, Proxy, Target};

use crate::world;
use crate::world::scene::Scene;
use crate::world::site::Site;

/// What is done to the network, and how it is told that the agent noticed.
async fn events_through(purpose: &str, between: &str, fault: impl Fn(&Proxy)) -> Result<()> {
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options { persistence: Persistence::Default, ..Options::default() }).await?;
    let proxy = Proxy::start(Target::Port(broker.port())).await?;
    let through = format!("mqtt://127.0.0.1:{}", proxy.port());
    let direct = broker.url();
    let (agent_url, bridge_url) = if between == "agent" { (through, direct) } else { (direct, through) };
    let mut site = Site::new(&engine, &agent_url, &bridge_url).await?;
    site.bridge.set("MQTT_KEEP_ALIVE", "5s");
    site.start().await?;

    let scene = Scene::set(&engine, purpose, 2).await?;
    let victim = if between == "agent" { &site.agent } else { &site.bridge };
    let faults = async {
        scene.wait_seen(100).await?;
        let lost = victim.log().matches("no connection to the broker").count();
        fault(&proxy);
        radar_tests::wait::until("the fault to be noticed", world::DEADLINE, async || {
            let log = victim.log();
            if log.matches("no connection to the broker").count() > lost { Ok(()) } else { Err(log) }
        })
        .await?;
        proxy.resume();
        anyhow::Ok(())
    };
    let (made, faulted) = tokio::join!(scene.burst(300), faults);
    made?;
    faulted?;
    scene.burst(50).await?;
    site.wait_whole(&scene).await
}

// E1, DM3
#[tokio::test]
async fn cut_before_the_agent() -> Result<()> {
    events_through("cut-agent", "agent", Proxy::cut).await
}

// E1, DM3
#[tokio::test]
async fn stalled_before_the_agent() -> Result<()> {
    events_through("stall-agent", "agent", Proxy::stall).await
}

// E1, DM3
#[tokio::test]
async fn stalled_from_the_agent_only() -> Result<()> {
    events_through("stall-up", "agent", |proxy| proxy.stall_one(Direction::Up)).await
}

// E1, DM3
#[tokio::test]
async fn stalled_towards_the_agent_only() -> Result<()> {
    events_through("stall-down", "agent", |proxy| proxy.stall_one(Direction::Down)).await
}

// E1
#[tokio::test]
async fn cut_before_the_bridge() -> Result<()> {
    events_through("cut-bridge", "bridge", Proxy::cut).await
}

// E1
#[tokio::test]
async fn stalled_before_the_bridge() -> Result<()> {
    events_through("stall-bridge", "bridge", Proxy::stall).await
}
