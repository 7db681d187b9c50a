//! The bridge is killed in the middle of its work, and comes back to what it has committed and to what the broker has
//! kept for it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::Engine;
use radar_tests::fleet::{self, Fleet};
use radar_tests::wait::until;
use radar_wire::topic::Prefix;

use crate::world::history::{gaps, history};
use crate::world::scene::Scene;
use crate::world::site::Site;
use crate::world::{self, DEADLINE};

// E1, RR3
#[tokio::test]
async fn killed_again_and_again_it_stores_every_event_once() -> Result<()> {
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options::default()).await?;
    let site = Site::open(&engine, &broker).await?;
    let scene = Scene::set(&engine, "bridge-kill", 2).await?;
    let kills = async {
        for wanted in [100, 200, 300, 400, 500] {
            scene.wait_seen(wanted).await?;
            site.bridge.kill9().await?;
            scene.wait_seen(wanted + 30).await?;
            site.bridge.start().await?;
        }
        anyhow::Ok(())
    };
    let (made, killed) = tokio::join!(scene.burst(600), kills);
    made?;
    killed?;
    site.wait_whole(&scene).await
}

// E1, RR3: as deploy/README.md says it.
#[tokio::test]
async fn a_backup_that_is_put_back_gets_what_has_happened_since() -> Result<()> {
    // The agent must still have all of it, and it keeps 1,000 events.
    let engine = Engine::start().await?;
    let broker = Broker::open(&Options::default()).await?;
    let site = Site::open(&engine, &broker).await?;
    let scene = Scene::set(&engine, "backup", 2).await?;
    scene.burst(40).await?;
    site.wait_whole(&scene).await?;
    let (database, copy) = (site.bridge.data().join("bridge.db"), site.bridge.data().join("copy.db"));
    let said = Command::new("sqlite3").arg(&database).arg(format!(".backup {}", copy.display())).output()?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    scene.burst(300).await?;
    site.wait_whole(&scene).await?;

    site.bridge.stop().await?;
    fs::rename(&copy, &database)?;
    ensure!(!database.with_extension("db-wal").exists(), "a write-ahead log of what was there");
    site.bridge.start().await?;
    site.wait_whole(&scene).await
}

/// Agents, and events while the bridge is away: many times what it takes without an acknowledgement.
const AGENTS: u32 = 10;
const QUEUED: u64 = 20_000;

// E1
#[tokio::test]
async fn after_a_long_time_away_it_takes_what_was_queued_in_one_connection() -> Result<()> {
    let broker = Broker::open(&Options { max_inflight: Some(1000), ..Options::default() }).await?;
    let bridge = world::bridge(&broker.url())?;
    bridge.start().await?;
    let fleet = Fleet::start(fleet::Options {
        agents: AGENTS,
        containers: 5,
        rate: 2000,
        prefix: Prefix::default(),
        port: broker.port(),
        snapshot_interval: Duration::from_secs(1),
    })?;
    let happened = async |count: u64| {
        until(&format!("{count} events"), 2 * DEADLINE, async || {
            let happened = fleet.counts().happened;
            if happened >= count { Ok(()) } else { Err(happened) }
        })
        .await
    };
    happened(500).await?;
    // In the middle of a batch, so that some are under way.
    bridge.kill9().await?;
    happened(QUEUED).await?;
    fleet.set_rate(0);
    fleet.wait_acknowledged(DEADLINE).await?;
    bridge.start().await?;
    let wanted = fleet.counts().happened;
    until("every event in the store", 2 * DEADLINE, async || {
        let mut stored = 0;
        for agent in bridge.agent_lines().await? {
            let id = agent["id"].as_str().context("an id")?;
            let history = history(&bridge, id).await?;
            assert_eq!(gaps(&history), []);
            stored += u64::try_from(history.len())?;
        }
        if stored == wanted { Ok(()) } else { Err(anyhow::anyhow!("{stored} of {wanted}")) }
    })
    .await?;
    let log = bridge.log();
    assert_eq!(log.matches("connected to mqtt://").count(), 2, "one connection in each life: {log}");
    fleet.stop().await.map(drop)
}
