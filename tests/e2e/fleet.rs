//! Many agents at once, through one bridge, at one server whose database takes one heartbeat at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use radar_tests::broker::{Broker, Options};
use radar_tests::fleet::{self, Fleet};
use radar_tests::server::Server;
use radar_tests::wait::until;
use radar_wire::topic::Prefix;

use crate::world::{self, DEADLINE};

const AGENTS: u32 = 50;
const CONTAINERS: u16 = 20;

// RR5, RR4, RR1
#[tokio::test]
async fn fifty_agents_come_to_the_server_one_after_the_other() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let server = Server::start().await?;
    server.set_interval(30.0);
    let mut bridge = world::relaying_bridge(&broker.url(), &server.url())?;
    bridge.set("SERVER_USERNAME", "admin");
    bridge.set("SERVER_PASSWORD", "secret");
    bridge.start().await?;
    let fleet = Fleet::start(fleet::Options {
        agents: AGENTS,
        containers: CONTAINERS,
        rate: 0,
        prefix: Prefix::default(),
        port: broker.port(),
        snapshot_interval: Duration::from_secs(1),
    })?;
    fleet.wait_online(AGENTS, DEADLINE).await?;
    let wait_status = async |status: &str| {
        until(&format!("all of them {status} at the server"), 2 * DEADLINE, async || {
            let agents = server.agents();
            let ready = agents.iter().filter(|view| {
                view.status == status && view.running.len() + view.stopped.len() == usize::from(CONTAINERS)
            });
            let ready = ready.count();
            if ready == AGENTS as usize { Ok(()) } else { Err(format!("{ready} of {}", agents.len())) }
        })
        .await
    };
    wait_status("online").await?;

    // Events everywhere, so that beats are due everywhere.
    fleet.set_rate(200);
    let begun = server.now();
    until("three beats of every agent", 2 * DEADLINE, async || {
        let fewest = server.agents().iter().map(|view| server.beats(&view.id).len()).min();
        if fewest >= Some(3) { Ok(()) } else { Err(format!("{fewest:?}")) }
    })
    .await?;
    let took = server.now() - begun;
    let beats = server.calls("/api/agent/heartbeat").iter().filter(|call| call.at >= begun).count();
    let most = AGENTS as usize * (usize::try_from(took.as_secs() / 5)? + 2);
    assert!(beats <= most, "{beats} beats in {took:?}");
    fleet.set_rate(0);

    let lines = bridge.agent_lines().await?;
    let relayed = |line: &&serde_json::Value| line["state"] == "online" && line["upstream"]["state"] == "enrolled";
    let listed: BTreeSet<_> = lines.iter().filter(relayed).map(|line| line["upstream"]["id"].to_string()).collect();
    assert_eq!((lines.len(), listed.len()), (AGENTS as usize, AGENTS as usize), "{lines:?}");

    fleet.stop().await?;
    wait_status("offline").await?;
    let failed: Vec<_> = server.requests().into_iter().filter(|call| !matches!(call.status, 0 | 200 | 201)).collect();
    assert_eq!(failed, []);
    assert_eq!((server.wedged(), server.high_water()), (None, 1));
    assert_eq!(server.calls("/api/agent-auth/enroll").len(), AGENTS as usize);
    bridge.stop().await
}
