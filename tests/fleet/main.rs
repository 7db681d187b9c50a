//! The simulated fleet against a real Mosquitto: what it says is what real agents say.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use radar_tests::broker::{Broker, Options, Seen, Tap};
use radar_tests::fleet::{self, Fleet};
use radar_tests::wait::until;
use radar_wire::codec::{Payload, decode, encode};
use radar_wire::event::{Action, Event};
use radar_wire::resend::Resend;
use radar_wire::snapshot::Snapshot;
use radar_wire::status::{Presence, Reason, Status};
use radar_wire::topic::{Channel, Prefix};

const AGENTS: u32 = 5;
const DEADLINE: Duration = Duration::from_secs(30);

fn fleet(broker: &Broker, rate: u32) -> Result<Fleet> {
    Fleet::start(fleet::Options {
        agents: AGENTS,
        containers: 3,
        rate,
        prefix: Prefix::default(),
        port: broker.port(),
        snapshot_interval: Duration::from_millis(200),
    })
}

fn read<P: Payload>(seen: &Seen) -> Result<P> {
    decode(seen.content_type.as_deref(), &seen.payload).with_context(|| format!("what came on {}", seen.topic))
}

/// The events of each agent, by topic.
fn events(tap: &Tap) -> Result<BTreeMap<String, Vec<Event>>> {
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for seen in tap.seen() {
        events.entry(seen.topic.clone()).or_default().push(read(&seen)?);
    }
    Ok(events)
}

#[tokio::test]
async fn agents_are_born_tell_every_event_once_and_leave() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let tap = broker.tap(&["radar/v1/+/event"]).await?;
    let fleet = fleet(&broker, 200)?;
    tap.wait_count(300, DEADLINE).await?;
    fleet.set_rate(0);
    fleet.wait_acknowledged(DEADLINE).await?;
    let happened = usize::try_from(fleet.counts().happened)?;
    tap.wait_count(happened, DEADLINE).await?;
    let events = events(&tap)?;
    assert_eq!(events.len(), AGENTS as usize);
    for (topic, events) in &events {
        let numbers: Vec<u64> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{topic}");
        let times: Vec<_> = events.iter().map(|event| event.time).collect();
        assert!(times.is_sorted_by(|one, next| one < next), "{topic}: {times:?}");
    }
    // The last snapshot of each says what its events have come to.
    until("snapshots that include all events", DEADLINE, async || {
        for (topic, seen) in broker.retained_under("radar/v1/+/snapshot").await? {
            let snapshot: Snapshot = read(&seen)?;
            let told = &events[&topic.replace("/snapshot", "/event")];
            anyhow::ensure!(snapshot.sequence == told.len() as u64, "{topic} includes {}", snapshot.sequence);
            anyhow::ensure!(snapshot.containers.len() == 3, "{topic} has {:?}", snapshot.containers);
            for container in &snapshot.containers {
                let last = told.iter().rev().find(|event| event.id == Some(container.id));
                let state =
                    last.map_or("running", |event| if event.action == Action::Pause { "paused" } else { "running" });
                anyhow::ensure!(container.state.as_str() == state, "{topic}: {} is not {state}", container.name);
            }
        }
        Ok(())
    })
    .await?;
    let counts = fleet.counts();
    assert_eq!((counts.gaps, counts.reconnects), (0, 0), "{counts:?}");
    check_presence(&broker, Presence::Online, &Reason::Start).await?;
    fleet.stop().await?;
    check_presence(&broker, Presence::Offline, &Reason::Stop).await
}

async fn check_presence(broker: &Broker, presence: Presence, reason: &Reason) -> Result<()> {
    let told = broker.retained_under("radar/v1/+/status").await?;
    assert_eq!(told.len(), AGENTS as usize);
    for (topic, seen) in told {
        let status: Status = read(&seen)?;
        assert_eq!((status.state, &status.reason), (presence, reason), "{topic}");
    }
    Ok(())
}

#[tokio::test]
async fn a_question_is_answered_with_the_same_events() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let tap = broker.tap(&["radar/v1/sim-00001/event"]).await?;
    let fleet = fleet(&broker, 100)?;
    tap.wait_count(10, DEADLINE).await?;
    fleet.set_rate(0);
    fleet.wait_acknowledged(DEADLINE).await?;
    let first: Vec<Event> = tap.seen().iter().map(read).collect::<Result<_>>()?;
    let epoch = first.first().context("an event came")?.epoch;
    let again = broker.tap(&["radar/v1/sim-00001/event"]).await?;
    let topic = Prefix::default().topic(&"sim-00001".parse()?, &Channel::Resend);
    for (epoch, from, to) in [(epoch, 3, 5), (epoch - 1, 1, 7)] {
        let asked = encode(&Resend { epoch, from, to })?;
        broker.publish_typed(&topic, asked.bytes, false, asked.content_type.as_str()).await?;
    }
    again.wait_count(4, DEADLINE).await?;
    let told: Vec<Event> = again.seen().iter().map(read).collect::<Result<_>>()?;
    assert_eq!(told[..3], first[2..5]);
    assert_eq!((&told[3].action, told[3].first, told[3].sequence), (&Action::Gap, Some(1), 7));
    Ok(())
}

#[tokio::test]
async fn a_broker_that_was_killed_gets_what_it_had_not_acknowledged() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let tap = broker.tap(&["radar/v1/+/event"]).await?;
    let fleet = fleet(&broker, 500)?;
    tap.wait_count(200, DEADLINE).await?;
    broker.kill9().await?;
    broker.start().await?;
    until("all agents to come back", DEADLINE, async || {
        let counts = fleet.counts();
        if counts.reconnects >= u64::from(AGENTS) && counts.online == AGENTS {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    })
    .await?;
    fleet.set_rate(0);
    fleet.wait_acknowledged(DEADLINE).await?;
    let counts = fleet.counts();
    assert_eq!(counts.acknowledged, counts.happened, "{counts:?}");
    assert!(counts.published >= counts.happened, "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn a_fleet_that_vanishes_is_declared_lost() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let fleet = fleet(&broker, 0)?;
    fleet.wait_online(AGENTS, DEADLINE).await?;
    drop(fleet);
    until("all wills", DEADLINE, async || {
        for (topic, seen) in broker.retained_under("radar/v1/+/status").await? {
            let status: Status = read(&seen)?;
            anyhow::ensure!(status.reason == Reason::Lost, "{topic}: {:?}", status.reason);
        }
        Ok(())
    })
    .await
}
