//! What the smallest boards have: 64 MB and a tenth of one core, with fifty containers.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Spec};
use radar_tests::observer::Observer;
use radar_tests::wait::until;
use radar_wire::codec;
use radar_wire::event::{Action, Event};
use radar_wire::snapshot::Snapshot;

use crate::running::{DEADLINE, named, tight, with_socket};
use crate::workshop::{AGENT, put};

const RUNNING: usize = 20;
const STOPPED: usize = 29;
const BURST: usize = 1000;

// E1 E11
#[tokio::test]
async fn nothing_is_lost_with_64_mb_a_tenth_of_a_core_and_fifty_containers() -> Result<()> {
    // Its own, so that nothing else happens at it.
    let engine = Engine::start().await?;
    let Some(image) = put(&engine, AGENT).await? else { return Ok(()) };
    let broker = Broker::open(&Options::default()).await?;
    let running = engine.run_many("running", RUNNING).await?;
    for _ in 0..STOPPED {
        engine.create(&engine.unique("stopped"), Spec::default()).await?;
    }
    let tap = broker.tap(&["radar/v1/small/event"]).await?;
    let spec = tight(&image, &[named(&broker), "AGENT_ID=small".to_owned()], |host| {
        with_socket(&engine, host);
        host.memory = Some(64 * 1024 * 1024);
        host.memory_swap = host.memory;
        host.nano_cpus = Some(100_000_000);
    });
    // A question a second would take more of the tenth than the agent.
    let spec = spec.adjust(|body| body.healthcheck = None);
    let agent = engine.run("small", spec).await?;
    until("the first snapshot", DEADLINE, async || {
        let seen = broker.retained("radar/v1/small/snapshot").await?.context("no snapshot")?;
        let told: Snapshot = codec::decode(seen.content_type.as_deref(), &seen.payload)?;
        let all = told.complete && told.containers.len() == RUNNING + STOPPED + 1;
        if all { Ok(()) } else { Err(anyhow!("{} containers", told.containers.len())) }
    })
    .await?;
    let began = engine.inspect(&agent.id).await?.state.and_then(|state| state.started_at);

    let observer = Observer::start(&engine);
    engine.burst(&running, BURST).await?;
    observer.wait_count(BURST, DEADLINE).await?;
    // The last one.
    engine.stop(&running[0].id).await?;
    observer.wait_for("the end of a container", DEADLINE, |event| event.kind() == "stop").await?;
    let said = observer.events();
    let of_burst = |events: &BTreeMap<u64, Event>| {
        let mut times: Vec<i64> = events.values().filter_map(|event| event.time).collect();
        times.sort_unstable();
        times
    };
    let all: Vec<i64> = said.iter().filter(|event| event.id != agent.id).map(|event| event.time_nano).collect();
    let told = until("every event at the broker", DEADLINE, async || {
        let events = tap.seen();
        let events = events.iter().filter_map(|seen| {
            codec::decode::<Event>(seen.content_type.as_deref(), &seen.payload)
                .ok()
                .map(|event| (event.sequence, event))
        });
        let events: BTreeMap<u64, Event> = events.collect();
        let missing = all.iter().filter(|time| of_burst(&events).binary_search(time).is_err()).count();
        if missing == 0 { Ok(events) } else { Err(format!("{missing} of {} are missing", all.len())) }
    })
    .await?;
    let numbers: Vec<u64> = told.keys().copied().collect();
    let first = *numbers.first().context("an event")?;
    assert_eq!(numbers, (first..first + numbers.len() as u64).collect::<Vec<_>>(), "no number is left out");
    let lost = told.values().find(|event| matches!(event.action, Action::Gap | Action::EngineLost));
    ensure!(lost.is_none(), "{lost:?}");

    let found = engine.inspect(&agent.id).await?;
    let state = found.state.context("a state")?;
    assert_eq!((state.running, state.oom_killed, found.restart_count), (Some(true), Some(false), Some(0)));
    assert_eq!(state.started_at, began);
    Ok(())
}
