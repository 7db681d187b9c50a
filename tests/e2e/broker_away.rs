//! The broker is killed and comes back, with and without its memory.

use anyhow::Result;
use radar_tests::broker::{Broker, Options, Persistence};
use radar_tests::engine::Engine;
use radar_tests::observer::Observer;
use radar_tests::wait::until;

use crate::world::history::{gaps, wait_complete};
use crate::world::{self, DEADLINE};

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
    let bridge = world::bridge(&broker.url())?;
    let agent = world::agent("pi", &engine.host(), &broker.url())?;
    bridge.start().await?;
    agent.start().await?;
    bridge.wait_log("pi online").await?;

    let containers = engine.run_many("broker-kill", 4).await?;
    let observer = Observer::start(&engine);
    let ours = || -> Vec<_> {
        let ours = |id: &str| containers.iter().any(|container| container.id == id);
        observer.events().into_iter().filter(|event| ours(&event.id)).collect()
    };
    let faults = async {
        for wanted in [500, 1_000] {
            until("the burst to go on", DEADLINE, async || {
                let seen = ours().len();
                if seen >= wanted { Ok(()) } else { Err(format!("{seen} events")) }
            })
            .await?;
            broker.kill9().await?;
            until("more events while the broker is away", DEADLINE, async || {
                let seen = ours().len();
                if seen >= wanted + 200 { Ok(()) } else { Err(format!("{seen} events")) }
            })
            .await?;
            broker.start().await?;
        }
        Ok(())
    };
    let (made, faulted): (_, Result<()>) = tokio::join!(engine.burst(&containers, 2_000), faults);
    faulted?;
    let made = made?.len();
    until("the observer to have all", DEADLINE, async || {
        let seen = ours().len();
        if seen >= made { Ok(()) } else { Err(format!("{seen} of {made}")) }
    })
    .await?;
    let history = wait_complete(&bridge, "pi", &ours()).await?;
    assert_eq!(gaps(&history), []);
    agent.check_running()?;
    bridge.check_running()
}
