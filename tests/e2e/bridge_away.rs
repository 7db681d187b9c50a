//! The bridge is killed in the middle of its work, and comes back to what it has committed.

use anyhow::Result;
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::Engine;

use crate::world;
use crate::world::history::{gaps, wait_complete};
use crate::world::scene::Scene;

// E1, RR3
#[tokio::test]
async fn killed_again_and_again_it_stores_every_event_once() -> Result<()> {
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options::default()).await?;
    let bridge = world::bridge(&broker.url())?;
    let agent = world::agent("pi", &engine.host(), &broker.url())?;
    bridge.start().await?;
    agent.start().await?;
    bridge.wait_log("pi online").await?;
    let scene = Scene::set(&engine, "bridge-kill", 2).await?;
    let kills = async {
        for wanted in [100, 200, 300, 400, 500] {
            scene.wait_seen(wanted).await?;
            bridge.kill9().await?;
            scene.wait_seen(wanted + 30).await?;
            bridge.start().await?;
        }
        anyhow::Ok(())
    };
    let (made, killed) = tokio::join!(scene.burst(600), kills);
    made?;
    killed?;
    let history = wait_complete(&bridge, "pi", &scene.seen()).await?;
    assert_eq!(gaps(&history), []);
    Ok(())
}
