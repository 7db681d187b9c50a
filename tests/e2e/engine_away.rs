//! The engine restarts, dies, or does not answer. It is never taken for a host without containers.

use anyhow::Result;
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Kind, Spec};
use radar_tests::server::Server;
use radar_tests::wait::until;

use crate::world;
use crate::world::history::{history, wait_complete};
use crate::world::scene::Scene;
use crate::world::site::Site;

// E1, DM7
#[tokio::test]
async fn restarted_under_load_it_is_read_on() -> Result<()> {
    restarted_under_load(Kind::Docker).await
}

// E10, E1
#[tokio::test]
async fn podman_restarted_under_load_is_read_on() -> Result<()> {
    restarted_under_load(Kind::Podman).await
}

async fn restarted_under_load(kind: Kind) -> Result<()> {
    let engine = Engine::start_as(kind).await?;
    let broker = Broker::open(&Options::default()).await?;
    let site = Site::open(&engine, &broker).await?;
    let bridge = &site.bridge;
    let scene = Scene::set(&engine, "restart", 2).await?;
    for restart in 0..2 {
        let restarting = async {
            scene.wait_seen(40 * (restart + 1)).await?;
            if restart == 0 { engine.restart().await } else { engine.restart_by_kill9().await }
        };
        let (made, restarted) = tokio::join!(scene.burst(500), restarting);
        // The engine refuses work while it is away; what it did is what counts.
        drop(made);
        restarted?;
        // What happens between its start and its next death is its own secret unless the agent is back.
        let back = restart + 1;
        until("the engine back in the history", world::DEADLINE, async || {
            let history = history(bridge, "pi").await?;
            let found = history.iter().filter(|line| line.action == "engine_back").count();
            if found == back { Ok(()) } else { Err(anyhow::anyhow!("{found} times")) }
        })
        .await?;
        for container in &scene.containers {
            drop(engine.start_container(&container.id).await);
        }
        scene.burst(30).await?;
    }
    let history = wait_complete(bridge, "pi", &scene.seen()).await?;
    let count = |action: &str| history.iter().filter(|line| line.action == action).count();
    assert_eq!((count("engine_lost"), count("engine_back")), (2, 2));
    let ready = |line: &serde_json::Value| line["containers"]["complete"] == true && line["containers"]["running"] == 2;
    bridge.wait_agent("pi", "both containers running", ready).await?;
    site.wait_server(&scene).await
}

// RR7, RR13, E4
#[tokio::test]
async fn while_it_is_away_the_server_keeps_the_last_list() -> Result<()> {
    let engine = Engine::start().await?;
    let broker = Broker::open(&Options::default()).await?;
    let server = Server::start().await?;
    let (upstream, token) = server.create_agent("kitchen");
    let bridge = world::relaying_bridge(&broker.url(), &server.url())?;
    let mut agent = world::agent(&upstream, &engine.host(), &broker.url())?;
    agent.set("AGENT_ENROLL_TOKEN", &token);
    engine.run("web", Spec::default()).await?;
    bridge.start().await?;
    agent.start().await?;
    let names = || server.view(&upstream).map(|view| view.names().join(",")).unwrap_or_default();
    until("web at the server", world::DEADLINE, async || if names() == "web" { Ok(()) } else { Err(names()) }).await?;

    engine.stop_daemon().await?;
    bridge.wait_agent(&upstream, "an engine that does not answer", |line| line["engine"]["answers"] == false).await?;
    // An agent that starts beside a dead engine knows no list, and must not tell an empty one.
    agent.kill9().await?;
    agent.start().await?;
    bridge.wait_agent(&upstream, "the agent back", |line| line["state"] == "online").await?;
    let unreachable = bridge.agent_line(&upstream).await?;
    assert_eq!(unreachable["containers"]["total"], 1, "{unreachable}");
    engine.start_daemon().await?;
    engine.start_container("web").await?;
    bridge.wait_agent(&upstream, "the engine back", |line| line["containers"]["complete"] == true).await?;
    let empty = server.beats(&upstream).iter().filter(|beat| beat.body["containers"] == serde_json::json!([])).count();
    assert_eq!(empty, 0);
    assert_eq!(names(), "web");
    let words: Vec<_> = history(&bridge, &upstream).await?.into_iter().map(|line| line.action).collect();
    assert!(words.contains(&"engine_lost".to_owned()), "{words:?}");
    Ok(())
}
