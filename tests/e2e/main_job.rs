//! The main job, when nothing goes wrong.

use anyhow::Result;
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Kind, Spec};
use radar_tests::observer::Observer;
use radar_tests::server::Server;
use radar_tests::wait::until;

use crate::world::history::{gaps, wait_complete};
use crate::world::{self, DEADLINE};

// RR1, RR8, RR10, DM7, E1, E2
#[tokio::test]
async fn containers_of_a_host_are_at_the_server_and_its_events_in_the_history() -> Result<()> {
    main_job(Kind::Docker).await
}

// E10
#[tokio::test]
async fn those_of_podman_too() -> Result<()> {
    main_job(Kind::Podman).await
}

// E10
#[tokio::test]
async fn those_of_a_users_podman_too() -> Result<()> {
    main_job(Kind::RootlessPodman).await
}

async fn main_job(kind: Kind) -> Result<()> {
    let engine = Engine::start_as(kind).await?;
    let broker = Broker::open(&Options::default()).await?;
    let server = Server::start().await?;
    let (upstream, token) = server.create_agent("kitchen");
    let bridge = world::relaying_bridge(&broker.url(), &server.url())?;
    let mut agent = world::agent(&upstream, &engine.host(), &broker.url())?;
    agent.set("AGENT_ENROLL_TOKEN", &token);
    let web = engine.run("web", Spec::default()).await?;
    engine.create("idle", Spec::default()).await?;
    bridge.start().await?;
    agent.start().await?;

    let at_server = async |status: &str, running: &[&str], stopped: &[&str]| {
        until("the server's view", DEADLINE, async || {
            let view = server.view(&upstream).ok_or_else(|| "no such agent".to_owned())?;
            let names = |list: &[radar_tests::server::ContainerView]| -> Vec<String> {
                let mut names: Vec<_> = list.iter().map(|container| container.name.clone()).collect();
                names.sort();
                names
            };
            let as_wanted = view.status == status && names(&view.running) == running && names(&view.stopped) == stopped;
            if as_wanted { Ok(()) } else { Err(format!("{view:?}")) }
        })
        .await
    };
    at_server("online", &["web"], &["idle"]).await?;

    let observer = Observer::start(&engine);
    engine.start_container("idle").await?;
    at_server("online", &["idle", "web"], &[]).await?;
    engine.stop("idle").await?;
    engine.burst(std::slice::from_ref(&web), 200).await?;
    at_server("online", &["web"], &["idle"]).await?;
    observer.wait_count(202, DEADLINE).await?;
    let history = wait_complete(&bridge, &upstream, &observer.events()).await?;
    assert_eq!(gaps(&history), []);

    agent.stop().await?;
    at_server("offline", &["web"], &["idle"]).await?;
    agent.start().await?;
    at_server("online", &["web"], &["idle"]).await?;
    agent.kill9().await?;
    at_server("offline", &["web"], &["idle"]).await?;
    assert_eq!(server.wedged(), None);
    bridge.stop().await
}
