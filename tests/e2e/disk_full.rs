//! A full disk under the data directory of either program is a state that ends, not a loss.

use anyhow::Result;
use radar_tests::broker::{Broker, Options};
use radar_tests::disk::Disk;
use radar_tests::engine::Engine;
use radar_tests::wait::until;

use crate::world::DEADLINE;
use crate::world::scene::Scene;
use crate::world::site::Site;

// E1
#[tokio::test]
async fn under_the_bridge() -> Result<()> {
    let Some(disk) = Disk::mount(32 << 20).await? else { return Ok(()) };
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options::default()).await?;
    let mut site = Site::new(&engine, &broker.url(), &broker.url()).await?;
    site.bridge.set("DATA_DIR", &disk.path().join("bridge").display().to_string());
    site.start().await?;
    let scene = Scene::set(&engine, "disk-bridge", 2).await?;
    scene.burst(20).await?;
    disk.fill()?;
    scene.burst(100).await?;
    until("503 from /health", DEADLINE, async || {
        let (status, body) = site.bridge.get("/health").await?;
        if status == 503 { Ok(()) } else { Err(anyhow::anyhow!("{status} {body}")) }
    })
    .await?;
    site.bridge.check_running()?;
    disk.free()?;
    site.wait_whole(&scene).await?;
    until("200 from /health", DEADLINE, async || {
        let (status, body) = site.bridge.get("/health").await?;
        if status == 200 { Ok(()) } else { Err(anyhow::anyhow!("{status} {body}")) }
    })
    .await?;
    site.bridge.stop().await
}

// E1
#[tokio::test]
async fn under_the_agent() -> Result<()> {
    let Some(disk) = Disk::mount(1 << 20).await? else { return Ok(()) };
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options::default()).await?;
    let mut site = Site::new(&engine, &broker.url(), &broker.url()).await?;
    site.agent.set("DATA_DIR", &disk.path().join("agent").display().to_string());
    site.start().await?;
    let scene = Scene::set(&engine, "disk-agent", 2).await?;
    broker.kill9().await?;
    scene.burst(20).await?;
    disk.fill()?;
    scene.burst(100).await?;
    site.agent.wait_log("No space left").await?;
    site.agent.check_running()?;
    broker.start().await?;
    site.wait_whole(&scene).await?;
    disk.free()?;
    site.agent.stop().await
}
