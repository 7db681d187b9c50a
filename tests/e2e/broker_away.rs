//! The broker is killed and comes back, with and without its memory.

use anyhow::Result;
use radar_tests::broker::{Broker, Options, Persistence};
use radar_tests::engine::Engine;

use crate::world::scene::Scene;
use crate::world::site::Site;

// E1, DM3, DM7
#[tokio::test]
async fn without_persistence_2000_events_around_a_kill_arrive_once() -> Result<()> {
    events_around_a_kill(Persistence::Off).await
}

// E1, DM3, DM7
#[tokio::test]
async fn saving_every_half_hour_2000_events_around_a_kill_arrive_once() -> Result<()> {
    events_around_a_kill(Persistence::Default).await
}

// E1, DM3, DM7
#[tokio::test]
async fn saving_every_change_2000_events_around_a_kill_arrive_once() -> Result<()> {
    events_around_a_kill(Persistence::EveryChange).await
}

async fn events_around_a_kill(persistence: Persistence) -> Result<()> {
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options { persistence, ..Options::default() }).await?;
    let site = Site::open(&engine, &broker).await?;

    let scene = Scene::set(&engine, "broker-kill", 4).await?;
    let faults = async {
        for wanted in [500, 1_000] {
            scene.wait_seen(wanted).await?;
            broker.kill9().await?;
            scene.wait_seen(wanted + 200).await?;
            broker.start().await?;
        }
        anyhow::Ok(())
    };
    let (made, faulted) = tokio::join!(scene.burst(2_000), faults);
    made?;
    faulted?;
    site.wait_whole(&scene).await?;
    site.agent.check_running()?;
    site.bridge.check_running()
}
