//! What containers use, as the agent reads it and as Docker's command line shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bollard::models::{ContainerStatsResponse, HostConfig};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use radar_agent::engine::act::{Act, Piece};
use radar_link::time::utc;
use radar_tests::engine::{Container, Engine as TestEngine, Spec};
use radar_tests::wait::until;
use radar_wire::container::ContainerId;
use radar_wire::stats::{ContainerUsage, Usage};
use serde_json::Value;

use crate::actor::Actor;
use crate::watch::DEADLINE;

/// How far two figures of the same may be apart.
const TOLERANCE: f64 = 0.02;

fn id(container: &Container) -> ContainerId {
    container.id.parse().expect("an id")
}

async fn sample(actor: &mut Actor, ids: &[ContainerId]) -> Result<BTreeMap<ContainerId, ContainerUsage>> {
    actor.pieces.clear();
    assert!(!actor.changes(Act::Sample { ids: ids.to_vec() }).await?);
    match actor.pieces.pop().context("a piece")?.1 {
        Piece::Sample(found) => Ok(found.into_iter().map(|usage| (usage.id, usage)).collect()),
        other => anyhow::bail!("{other:?}"),
    }
}

async fn one(actor: &mut Actor, id: ContainerId) -> Result<ContainerUsage> {
    sample(actor, &[id]).await?.remove(&id).context("its figures")
}

/// The engine's own answer.
async fn raw(engine: &TestEngine, id: ContainerId) -> Result<ContainerStatsResponse> {
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
    engine.client()?.stats(&id.to_string(), Some(options)).next().await.context("an answer")?.context("statistics")
}

/// The figures that Docker's command line makes of an answer (docker/cli, `container/stats_helpers.go`), 0 where there
/// are none.
fn by_the_formula(answer: &ContainerStatsResponse) -> [u64; 7] {
    let memory = answer.memory_stats.clone().unwrap_or_default();
    let used = memory.usage.unwrap_or_default();
    let known = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    let without_cache = match (known("total_inactive_file"), known("inactive_file").unwrap_or_default()) {
        (Some(cache), _) if cache < used => used - cache,
        (_, cache) if cache < used => used - cache,
        _ => used,
    };
    let entries = answer.blkio_stats.as_ref().and_then(|stats| stats.io_service_bytes_recursive.clone());
    let bytes = |letters: [char; 2]| {
        let of = |entry: &&bollard::models::ContainerBlkioStatEntry| {
            entry.op.as_ref().is_some_and(|op| op.starts_with(letters))
        };
        entries.iter().flatten().filter(of).filter_map(|entry| entry.value).sum()
    };
    let networks = answer.networks.clone().unwrap_or_default();
    let pids = answer.pids_stats.as_ref().and_then(|stats| stats.current).unwrap_or_default();
    [
        total(answer),
        without_cache,
        networks.values().filter_map(|network| network.rx_bytes).sum(),
        networks.values().filter_map(|network| network.tx_bytes).sum(),
        bytes(['r', 'R']),
        bytes(['w', 'W']),
        pids,
    ]
}

fn total(answer: &ContainerStatsResponse) -> u64 {
    answer.cpu_stats.as_ref().and_then(|stats| stats.cpu_usage.as_ref()?.total_usage).unwrap_or_default()
}

fn figures(usage: &Usage) -> [Option<u64>; 7] {
    [usage.cpu, usage.memory, usage.received, usage.sent, usage.read, usage.written, usage.pids]
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= TOLERANCE * one.abs().max(other.abs())
}

/// A container that takes 3 MB of memory, writes 8 MB to the disk, and then works without end.
async fn worker(engine: &TestEngine, network: &str) -> Result<ContainerId> {
    let line = "x=$(yes | head -c 3000000); dd if=/dev/zero of=/data/f bs=1M count=8 conv=fsync; while :; do :; done";
    let spec = Spec::shell(line).adjust(|body| {
        body.volumes = Some(vec!["/data".to_owned()]);
        let host = body.host_config.get_or_insert_with(HostConfig::default);
        (host.network_mode, host.nano_cpus) = (Some(network.to_owned()), Some(500_000_000));
        host.memory = Some(256 * 1024 * 1024);
    });
    let id = id(&engine.run(&engine.unique("worker"), spec).await?);
    let mut before = None;
    until("its work", DEADLINE, async || {
        let now = by_the_formula(&raw(engine, id).await?);
        let settled = before.replace(now).is_some_and(|before: [u64; 7]| before[1..] == now[1..]);
        ensure!(settled && now[6] == 1 && now[1] > 3_000_000, "{now:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    Ok(id)
}

// DM8
#[tokio::test]
async fn figures_are_those_of_dockers_command_line() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let network = engine.unique("stats");
    let made = Act::CreateNetwork { network: network.as_str().into(), driver: None, internal: true };
    actor.does(made).await?;
    let id = worker(&engine, &network).await?;

    let before = raw(&engine, id).await?;
    let usage = one(&mut actor, id).await?;
    let after = raw(&engine, id).await?;
    let bounds = by_the_formula(&before).into_iter().zip(by_the_formula(&after));
    for ((own, (least, most)), name) in figures(&usage.usage)
        .into_iter()
        .zip(bounds)
        .zip(["cpu", "memory", "received", "sent", "read", "written", "pids"])
    {
        // A kernel that counts nothing is not taken for one that counted 0.
        let Some(own) = own else {
            assert_eq!(most, 0, "{name}: {usage:?}");
            continue;
        };
        let (least, most) = (least as f64 * (1.0 - TOLERANCE), most as f64 * (1.0 + TOLERANCE));
        assert!((least..=most).contains(&(own as f64)), "{name}: {own} is not in {least}..={most}");
    }
    let told = usage.usage.clone();
    assert!(told.cpu.is_some() && told.received.is_some() && told.sent.is_some() && told.pids == Some(1), "{told:?}");
    let (from, to) = (before.read.context("a time")?, after.read.context("a time")?);
    assert!((utc::nanoseconds(&from)..=utc::nanoseconds(&to)).contains(&usage.time), "{usage:?}");

    // What the kernel itself keeps in memory may change at any moment: it is compared where it stood still.
    let compared = until("figures that stand still", DEADLINE, async || {
        let before = one(&mut actor, id).await?.usage;
        let shown = command_line(&engine, id)?;
        let own = one(&mut actor, id).await?.usage;
        ensure!(figures(&before)[1..] == figures(&own)[1..], "{before:?}, then {own:?}");
        Ok::<_, anyhow::Error>(shown.map(|shown| (shown, own)))
    })
    .await?;
    if let Some((shown, own)) = compared {
        let pair = |name: &str| -> Result<(f64, f64)> {
            let text = shown[name].as_str().context("a text")?;
            let (one, other) = text.split_once(" / ").with_context(|| text.to_owned())?;
            Ok((number(one)?, number(other)?))
        };
        for (name, own) in [
            ("MemUsage", (own.memory, own.memory_limit)),
            ("BlockIO", (own.read, own.written)),
            ("NetIO", (own.received, own.sent)),
        ] {
            let (one, other) = pair(name)?;
            let near = |own: Option<u64>, shown: f64| is_near(own.unwrap_or(0) as f64, shown);
            assert!(near(own.0, one) && near(own.1, other), "{name}: {own:?} and {shown}");
        }
        assert_eq!(shown["PIDs"].as_str(), own.pids.map(|pids| pids.to_string()).as_deref());
    }
    engine.remove(&id.to_string()).await?;
    assert!(actor.changes(Act::RemoveNetwork { network: network.as_str().into() }).await?);
    Ok(())
}

/// What `docker stats` shows; none where there is no such program.
fn command_line(engine: &TestEngine, id: ContainerId) -> Result<Option<Value>> {
    let id = id.to_string();
    let arguments = ["-H", &engine.host(), "stats", "--no-stream", "--format", "{{json .}}", &id];
    let Ok(output) = std::process::Command::new("docker").args(arguments).output() else { return Ok(None) };
    let text = String::from_utf8(output.stdout)?;
    let shown = serde_json::from_str(text.trim())
        .with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Some(shown))
}

/// `1.5MB`, `12MiB`, `0B`.
fn number(text: &str) -> Result<f64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).context("a unit")?;
    let factor = match &text[end..] {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        unit => anyhow::bail!("the unit {unit}"),
    };
    Ok(text[..end].parse::<f64>()? * factor)
}

// DM8
#[tokio::test]
async fn two_samples_give_the_share_of_a_processor_that_docker_shows() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let id = worker(&engine, "none").await?;
    let (own_first, first) = (one(&mut actor, id).await?, raw(&engine, id).await?);
    until("the same share", DEADLINE, async || {
        let (own, last) = (one(&mut actor, id).await?, raw(&engine, id).await?);
        let system =
            |answer: &ContainerStatsResponse| answer.cpu_stats.as_ref().and_then(|stats| stats.system_cpu_usage);
        let online = last.cpu_stats.as_ref().and_then(|stats| stats.online_cpus).context("processors")?;
        let worked = (total(&last) - total(&first)) as f64;
        let passed = (system(&last).context("a time")? - system(&first).context("a time")?) as f64;
        let shown = worked / passed * f64::from(online);
        let used =
            own.usage.cpu.zip(own_first.usage.cpu).map(|(last, first)| last - first).context("processor time")?;
        let time = own.time.zip(own_first.time).map(|(last, first)| last - first).context("times")?;
        let share = used as f64 / time as f64;
        ensure!(time > 1_000_000_000 && is_near(share, shown), "{share} and {shown} in {time} ns");
        Ok(())
    })
    .await?;
    engine.remove(&id.to_string()).await
}

// DM8
#[tokio::test]
async fn only_what_runs_has_figures_and_without_a_network_there_are_none_for_it() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let running = engine.run_many("sampled", 9).await?;
    let paused = engine.run(&engine.unique("paused"), Spec::default()).await?;
    engine.pause(&paused.id).await?;
    let stopped = engine.create(&engine.unique("stopped"), Spec::default()).await?;
    let nobody: ContainerId = "ab".repeat(32).parse()?;
    let mut ids: Vec<ContainerId> = running.iter().chain([&paused, &stopped]).map(id).collect();
    ids.push(nobody);

    let found = sample(&mut actor, &ids).await?;
    let mut expect: Vec<ContainerId> = running.iter().chain([&paused]).map(id).collect();
    expect.sort_unstable();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), expect);
    for usage in found.values() {
        let told = &usage.usage;
        assert!(usage.time.is_some() && told.cpu > Some(0) && told.pids > Some(0), "{usage:?}");
        assert_eq!((told.received, told.sent), (None, None), "it has no network");
    }
    assert_eq!(sample(&mut actor, &[]).await?.len(), 0);
    engine.unpause(&paused.id).await?;
    for container in running.iter().chain([&paused, &stopped]) {
        engine.remove(&container.id).await?;
    }
    Ok(())
}

// DM8
#[tokio::test]
async fn an_engine_that_says_nothing_gives_no_sample() -> Result<()> {
    let engine = TestEngine::start().await?;
    let mut actor = Actor::start(&engine).await?;
    let id = id(&engine.run("kept", Spec::default()).await?);
    engine.freeze();
    let ticket = actor.begin(Act::Sample { ids: vec![id] }, Duration::from_secs(2));
    assert_eq!(actor.end(ticket).await?.expect_err("no answer").kind.as_str(), "timed-out");
    assert!(actor.pieces.is_empty());
    engine.thaw();
    assert_eq!(sample(&mut actor, &[id]).await?.len(), 1);
    Ok(())
}
