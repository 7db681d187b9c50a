//! One agent on one host: its size, its memory and CPU time when idle, its start, how fast an event of the
//! engine is at a subscriber of the broker, and the bytes on the wire.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{StreamExt, TryStreamExt, stream};
use radar_link::time::Clock;
use radar_wire::codec::decode;
use radar_wire::event::Event;
use tokio::task::JoinSet;

use super::plan::Plan;
use super::report::{Figure, Goal, Report};
use super::sample::{Sample, bytes, mebibytes, milliseconds, milliseconds_between};
use super::stage::{DEADLINE, Stage, Way, wait_snapshot};
use super::usage::{Cpu, size_with_libraries};
use crate::broker::Seen;
use crate::clock::wall_nanos;
use crate::engine::{Container, Engine};
use crate::observer::Observer;
use crate::process::{Launch, ProcStat, Process, directory};
use crate::proxy::{Direction, Proxy, Target};
use crate::wait::until;

/// Time for a program to come to rest after its start.
const SETTLE: Duration = Duration::from_secs(3);
/// Between two events, so that each is alone.
const APART: Duration = Duration::from_millis(20);

pub(super) async fn measure(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    size(stage, report)?;
    starts(plan, stage, report).await?;
    let encrypted = idle(plan, stage, report).await?;
    latency(plan, stage, report).await?;
    end(encrypted).await?;
    memory_of_many(plan, stage, report).await
}

fn size(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    let file = stage.programs.agent_file();
    let size = fs::metadata(file).with_context(|| format!("{}", file.display()))?.len();
    let broker = stage.broker.pid().context("the broker runs")?;
    report.add(Figure {
        name: "agent: size of the program".to_owned(),
        unit: "MB",
        goal: Goal::AtMost(4.5),
        measured: bytes(size) / 1e6,
        baseline: Some(bytes(size_with_libraries(broker)?) / 1e6),
        how: "Baseline: mosquitto with the libraries that it loads; the agent loads the C library only.".to_owned(),
    });
    Ok(())
}

async fn starts(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    let tap = stage.broker.tap(&["radar/v1/+/snapshot"]).await?;
    let (mut starts, mut raw) = (Vec::new(), Vec::new());
    let mut size = 0;
    for number in 0..plan.starts {
        let before = wall_nanos();
        read_raw(&stage.engine).await?;
        raw.push(milliseconds_between(before, wall_nanos()));
        let id = format!("start-{number}");
        let before = wall_nanos();
        let agent = stage.agent(&id, Way::Tls, &[])?;
        let snapshot = wait_snapshot(&tap, &agent, &id, plan.containers).await?;
        starts.push(milliseconds_between(before, snapshot.at));
        size = snapshot.payload.len();
        end(agent).await?;
    }
    let starts: Sample = starts.into_iter().collect();
    report.add(Figure {
        name: "agent: start → first snapshot at the broker".to_owned(),
        unit: "ms",
        goal: Goal::AtMost(200.0),
        measured: starts.median(),
        baseline: Some(raw.into_iter().collect::<Sample>().median()),
        how: format!(
            "Median of {} first starts (no data yet, TLS), the process's own start included; slowest {:.0} ms. The \
             snapshot of {} containers has {size} bytes. Baseline: a plain list and inspect of the same engine, four at \
             a time.",
            starts.len(),
            starts.quantile(1.0),
            plan.containers
        ),
    });
    Ok(())
}

/// What any reader of all containers has to do.
async fn read_raw(engine: &Engine) -> Result<()> {
    let client = engine.client()?;
    let options = ListContainersOptionsBuilder::new().all(true).build();
    let list = client.list_containers(Some(options)).await.context("the list")?;
    let ids = list.into_iter().filter_map(|container| container.id);
    let inspect = |id: String| {
        let client = client.clone();
        async move { client.inspect_container(&id, None::<InspectContainerOptions>).await }
    };
    stream::iter(ids).map(inspect).buffer_unordered(4).try_collect::<Vec<_>>().await.context("inspecting").map(drop)
}

/// An idle minute of two agents, one with TLS and one whose bytes are counted, beside the smallest client
/// that holds a connection. Then the bytes of changes. Returns the agent with TLS.
async fn idle(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<Process> {
    let clock = Clock::start();
    let broker = Target::Port(stage.broker.port());
    let (proxy, other_proxy) = (Proxy::start(broker.clone()).await?, Proxy::start(broker).await?);
    let tap = stage.broker.tap(&["radar/v1/+/snapshot"]).await?;
    let encrypted = stage.agent("encrypted", Way::Tls, &[])?;
    let no_snapshots = [("AGENT_SNAPSHOT_INTERVAL", "1h".to_owned())];
    let counted = stage.agent("counted", Way::Plain(proxy.port()), &no_snapshots)?;
    let certificates = stage.broker.certificates().context("the broker has certificates")?;
    let tls_port = stage.broker.tls_port().context("the broker speaks TLS")?;
    let smallest = subscriber(tls_port, Some(&certificates.ca()))?;
    let other = subscriber(other_proxy.port(), None)?;
    wait_snapshot(&tap, &encrypted, "encrypted", plan.containers).await?;
    wait_snapshot(&tap, &counted, "counted", plan.containers).await?;
    tokio::time::sleep(SETTLE).await;

    tracing::info!("{} s of idling", plan.idle.as_secs());
    let both = |proxy: &Proxy| proxy.bytes(Direction::Up) + proxy.bytes(Direction::Down);
    let (cpu, other_cpu) = (Cpu::watch(encrypted.pid())?, Cpu::watch(smallest.pid())?);
    let (before, other_before) = (both(&proxy), both(&other_proxy));
    let began = clock.now().mono;
    tokio::time::sleep(plan.idle).await;
    let minutes = (clock.now().mono - began).as_secs_f64() / 60.0;
    let (used, other_used) = (cpu.used()?.as_secs_f64(), other_cpu.used()?.as_secs_f64());
    let (sent, other_sent) = (both(&proxy) - before, both(&other_proxy) - other_before);

    memory(report, plan.containers, &encrypted, ProcStat::read(smallest.pid())?, "They run, and the agent idled.")?;
    report.add(Figure {
        name: format!("agent: CPU time when idle, {} containers", plan.containers),
        unit: "s/min",
        goal: Goal::AtMost(0.02),
        measured: used / minutes,
        baseline: Some(other_used / minutes),
        how: format!(
            "By the scheduler's own count over {:.0} s with TLS, a list of the engine included. Baseline: mosquitto_sub \
             with TLS, which only pings.",
            minutes * 60.0
        ),
    });
    report.add(Figure {
        name: "wire: bytes per idle minute".to_owned(),
        unit: "B",
        // One exchange of pings more or less falls into the minute.
        goal: Goal::AtMost(bytes(other_sent) / minutes + 4.0),
        measured: bytes(sent) / minutes,
        baseline: Some(bytes(other_sent) / minutes),
        how:
            "Both directions, as a proxy counts them, without TLS. Baseline and goal: mosquitto_sub, which only pings \
              every 30 s."
                .to_owned(),
    });
    per_change(plan, stage, report, &proxy).await?;
    for done in [counted, smallest, other] {
        end(done).await?;
    }
    Ok(encrypted)
}

/// Bytes of events and their acknowledgements, beside what the engine itself sends to tell the same.
async fn per_change(plan: &Plan, stage: &Stage<'_>, report: &mut Report, proxy: &Proxy) -> Result<()> {
    let container = stage.containers.first().context("a container runs")?;
    let engine_proxy = Proxy::start(Target::Socket(stage.engine.socket())).await?;
    let address = format!("http://127.0.0.1:{}", engine_proxy.port());
    let client = Docker::connect_with_http(&address, 120, API_DEFAULT_VERSION).context("the engine by the proxy")?;
    let mut reading = JoinSet::new();
    reading.spawn(async move { client.events(None::<EventsOptions>).for_each(async |_| ()).await });
    let tap = stage.broker.tap(&["radar/v1/counted/event"]).await?;
    // The first ones open the stream and show that it is open.
    toggle(&stage.engine, container, 2).await?;
    tap.wait_count(2, DEADLINE).await?;
    until("the engine's stream to begin", DEADLINE, async || {
        if engine_proxy.bytes(Direction::Down) > 0 { Ok(()) } else { Err("nothing") }
    })
    .await?;
    tokio::time::sleep(SETTLE / 10).await;
    let before = [proxy.bytes(Direction::Up), proxy.bytes(Direction::Down), engine_proxy.bytes(Direction::Down)];
    toggle(&stage.engine, container, plan.changes).await?;
    tap.wait_count(2 + plan.changes, DEADLINE).await?;
    tokio::time::sleep(SETTLE / 10).await;
    let changes = super::sample::count(plan.changes);
    let [up, down, raw] = [
        (proxy.bytes(Direction::Up), before[0]),
        (proxy.bytes(Direction::Down), before[1]),
        (engine_proxy.bytes(Direction::Down), before[2]),
    ]
    .map(|(after, before)| bytes(after - before) / changes);
    report.add(Figure {
        name: "wire: bytes per change".to_owned(),
        unit: "B",
        goal: Goal::AtMost(200.0),
        measured: up + down,
        baseline: Some(raw),
        how: format!(
            "{} events pause and unpause, {up:.0} B up and {down:.0} B down each (acknowledgements); snapshots, at most \
             one in 30 s, are not in it. Baseline: what the engine's own stream takes to tell the same.",
            plan.changes
        ),
    });
    Ok(())
}

async fn latency(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    let (added, raw) = added(stage, "encrypted", plan.changes).await?;
    for (name, goal, measured, baseline) in [
        ("event → a subscriber of the broker, added: median", 5.0, added.median(), raw.median()),
        ("event → a subscriber of the broker, added: p95", 20.0, added.p95(), raw.p95()),
    ] {
        report.add(Figure {
            name: name.to_owned(),
            unit: "ms",
            goal: Goal::AtMost(goal),
            measured,
            baseline: Some(baseline),
            how: format!(
                "{} events with TLS, one by one; slowest {:.1} ms. Added to what a raw reader of the engine's stream in \
                 the same process needs, from the engine's own time on: that is the baseline.",
                added.len(),
                added.quantile(1.0)
            ),
        });
    }
    Ok(())
}

/// How many milliseconds events of the engine take to a subscriber by way of this agent, beyond what they take to a raw
/// reader of the engine's stream; and what they take to that one.
pub(super) async fn added(stage: &Stage<'_>, agent: &str, changes: usize) -> Result<(Sample, Sample)> {
    let container = stage.containers.last().context("a container runs")?;
    let observer = Observer::start(&stage.engine);
    let tap = stage.broker.tap(&[&format!("radar/v1/{agent}/event")]).await?;
    toggle(&stage.engine, container, 2).await?;
    observer.wait_count(2, DEADLINE).await?;
    tap.wait_count(2, DEADLINE).await?;
    toggle(&stage.engine, container, changes).await?;
    observer.wait_count(2 + changes, DEADLINE).await?;
    tap.wait_count(2 + changes, DEADLINE).await?;
    let seen = tap.seen();
    let event = |seen: &Seen| decode::<Event>(seen.content_type.as_deref(), &seen.payload).ok();
    let told: Vec<(Option<i64>, i64)> = seen.iter().filter_map(|seen| Some((event(seen)?.time, seen.at))).collect();
    let (mut added, mut raw) = (Vec::new(), Vec::new());
    for event in observer.events().iter().skip(2) {
        let told = told.iter().find(|(time, _)| *time == Some(event.time_nano));
        let (_, at) = told.with_context(|| format!("{} of {} never came", event.action, event.time_nano))?;
        added.push(milliseconds_between(event.at, *at));
        raw.push(milliseconds_between(event.time_nano, event.at));
    }
    Ok((added.into_iter().collect(), raw.into_iter().collect()))
}

/// Pauses and continues a container, `events` events in all.
async fn toggle(engine: &Engine, container: &Container, events: usize) -> Result<()> {
    for number in 0..events {
        match number % 2 {
            0 => engine.pause(&container.id).await?,
            _ => engine.unpause(&container.id).await?,
        }
        tokio::time::sleep(APART).await;
    }
    Ok(())
}

async fn memory_of_many(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    stage.add_created(plan.many_containers - plan.containers).await?;
    let tap = stage.broker.tap(&["radar/v1/+/snapshot"]).await?;
    let certificates = stage.broker.certificates().context("the broker has certificates")?;
    let smallest = subscriber(stage.broker.tls_port().context("the broker speaks TLS")?, Some(&certificates.ca()))?;
    let agent = stage.agent("many", Way::Tls, &[])?;
    wait_snapshot(&tap, &agent, "many", plan.many_containers).await?;
    tokio::time::sleep(SETTLE).await;
    let conditions = format!("{} of them run, the others were created only; 3 s after the start.", plan.containers);
    memory(report, plan.many_containers, &agent, ProcStat::read(smallest.pid())?, &conditions)?;
    end(agent).await?;
    end(smallest).await
}

fn memory(report: &mut Report, containers: usize, agent: &Process, smallest: ProcStat, conditions: &str) -> Result<()> {
    let used = ProcStat::read(agent.pid())?;
    for (name, goal, measured, baseline) in
        [("resident", 8.0, used.rss, smallest.rss), ("anonymous", 2.0, used.anonymous, smallest.anonymous)]
    {
        report.add(Figure {
            name: format!("agent: {name} memory, {containers} containers"),
            unit: "MiB",
            goal: Goal::AtMost(goal),
            measured: mebibytes(measured),
            baseline: Some(mebibytes(baseline)),
            how: format!("With TLS. {conditions} Baseline: mosquitto_sub with TLS, which only holds a connection."),
        });
    }
    Ok(())
}

/// The smallest client that holds a connection to the broker.
fn subscriber(port: u16, ca: Option<&Path>) -> Result<Process> {
    let directory = directory("measure")?;
    let mut launch = Launch::new("mosquitto_sub", directory.join("log"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", "30", "-q", "1", "-t", "radar-tests/silence"])
        .owns(&directory);
    if let Some(ca) = ca {
        launch = launch.args(["--cafile"]).args([ca]);
    }
    Process::start(&launch).context("mosquitto_sub, of mosquitto-clients")
}

async fn end(process: Process) -> Result<()> {
    process.terminate();
    let limit = Duration::from_secs(15);
    let code = process.wait_exit(limit).await?;
    tracing::debug!("a program ended with {code}, {:.0} ms allowed", milliseconds(limit));
    Ok(())
}
