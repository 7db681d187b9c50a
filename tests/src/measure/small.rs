//! One agent on a board as small as they are: 64 MB, a tenth of one core, fifty containers. Its start, the way of an
//! event, a burst, and the most memory that it has needed.

use anyhow::{Context, Result};
use bollard::models::HostConfig;
use radar_link::time::Clock;
use radar_wire::codec::decode;
use radar_wire::snapshot::Snapshot;

use super::host::added;
use super::plan::Plan;
use super::programs::Programs;
use super::report::{Figure, Goal, Report};
use super::sample::{Sample, count, mebibytes, milliseconds_between};
use super::stage::{DEADLINE, Stage};
use super::usage::most_memory;
use crate::broker::Seen;
use crate::clock::wall_nanos;
use crate::engine::{Container, Spec};
use crate::observer::Observer;

const IMAGE: &str = "radar-agent:measured";
const MEMORY: i64 = 64 * 1024 * 1024;
/// Billionths of a core.
const CORE: i64 = 100_000_000;

pub(super) async fn measure(plan: &Plan, programs: &Programs, report: &mut Report) -> Result<()> {
    let stage = Stage::set(plan, programs).await?;
    // The agent's own container is the last one.
    stage.add_created(plan.containers - 1).await?;
    let entry = r#"ENTRYPOINT ["/bin/radar-agent"]"#;
    stage.engine.make_image_with(IMAGE, &[(programs.agent_file(), "/bin/radar-agent")], &[entry]).await?;
    let (_, free) = started(plan, &stage, "roomy", false).await?;
    let (agent, tight) = started(plan, &stage, "tight", true).await?;
    let conditions = format!(
        "The agent in a container with 64 MB and a tenth of one core, {} containers, {} of them running, TLS.",
        2 * plan.containers,
        plan.containers
    );
    report.add(Figure {
        name: "small board: start → first snapshot".to_owned(),
        unit: "ms",
        goal: Goal::AtMost(3000.0),
        measured: tight,
        baseline: Some(free),
        how: format!(
            "{conditions} One start, with that of the container. Baseline: the same without limits, just before."
        ),
    });
    let (added, raw) = added(&stage, "tight", plan.changes).await?;
    for (name, goal, measured, baseline) in [
        ("small board: event → a subscriber, added: median", 10.0, added.median(), raw.median()),
        ("small board: event → a subscriber, added: p95", 200.0, added.p95(), raw.p95()),
    ] {
        report.add(Figure {
            name: name.to_owned(),
            unit: "ms",
            goal: Goal::AtMost(goal),
            measured,
            baseline: Some(baseline),
            how: format!("{} events, one by one; baseline: a raw reader of the engine's stream.", added.len()),
        });
    }
    burst(plan, &stage, report).await?;
    let found = stage.engine.inspect(&agent.id).await?;
    let state = found.state.context("a state")?;
    let alive = state.running == Some(true) && state.oom_killed == Some(false) && found.restart_count == Some(0);
    anyhow::ensure!(alive, "the agent did not live through it: {state:?}");
    let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).context("its process id")?;
    report.add(Figure {
        name: "small board: most memory".to_owned(),
        unit: "MiB",
        goal: Goal::AtMost(32.0),
        measured: mebibytes(most_memory(pid)?),
        baseline: Some(64.0),
        how: "By its control group's own count, after the burst. Baseline: what it may have.".to_owned(),
    });
    Ok(())
}

/// Starts an agent; its container, and how many milliseconds its first snapshot took. Without limits it is removed again.
async fn started(plan: &Plan, stage: &Stage<'_>, id: &str, limited: bool) -> Result<(Container, f64)> {
    let tap = stage.broker.tap(&[&format!("radar/v1/{id}/snapshot")]).await?;
    let certificates = stage.broker.certificates().context("the broker has certificates")?;
    let binds = vec![
        format!("{}:/var/run/docker.sock", stage.engine.socket().display()),
        format!("{}:/ca.pem:ro", certificates.ca().display()),
    ];
    let environment = vec![
        format!("MQTT_URL={}", stage.broker.tls_url().context("the broker speaks TLS")?),
        "MQTT_CA_FILE=/ca.pem".to_owned(),
        format!("AGENT_ID={id}"),
    ];
    let spec = Spec::command(["run"]).adjust(|body| {
        body.image = Some(IMAGE.to_owned());
        body.env = Some(environment);
        body.stop_signal = None;
        body.host_config = Some(HostConfig {
            network_mode: Some("host".to_owned()),
            binds: Some(binds),
            memory: limited.then_some(MEMORY),
            memory_swap: limited.then_some(MEMORY),
            nano_cpus: limited.then_some(CORE),
            ..HostConfig::default()
        });
    });
    let agent = stage.engine.create(id, spec).await?;
    let before = wall_nanos();
    stage.engine.start_container(id).await?;
    let wanted = |seen: &Seen| {
        decode::<Snapshot>(seen.content_type.as_deref(), &seen.payload)
            .is_ok_and(|snapshot| snapshot.complete && snapshot.containers.len() == 2 * plan.containers)
    };
    let seen = tap.wait_for("the first complete snapshot", DEADLINE, wanted).await?;
    if !limited {
        stage.engine.stop(id).await?;
        stage.engine.remove(id).await?;
    }
    Ok((agent, milliseconds_between(before, seen.at)))
}

async fn burst(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    let observer = Observer::start(&stage.engine);
    let tap = stage.broker.tap(&["radar/v1/tight/event"]).await?;
    let clock = Clock::start();
    let began = clock.now().mono;
    let made = stage.engine.burst(&stage.containers, plan.burst).await?.len();
    let took = clock.now().mono - began;
    observer.wait_count(made, DEADLINE).await?;
    // Those that are lost never come.
    let waited = tap.wait_count(made, 2 * DEADLINE).await;
    let events = observer.events();
    let seen = tap.seen();
    let lost = made.saturating_sub(seen.len());
    if lost > 0 {
        tracing::warn!("{:#}", waited.err().unwrap_or_else(|| anyhow::anyhow!("{lost} are lost")));
    }
    let behind: Sample =
        events.iter().zip(&seen).map(|(said, told)| milliseconds_between(said.time_nano, told.at).max(0.0)).collect();
    for (name, unit, goal, measured) in [
        ("small board: events lost in a burst", "", 0.0, count(lost)),
        ("small board: how late an event of the burst is", "ms", 5000.0, behind.quantile(1.0)),
    ] {
        report.add(Figure {
            name: name.to_owned(),
            unit,
            goal: Goal::AtMost(goal),
            measured,
            baseline: None,
            how: format!(
                "{made} events in {:.1} s, as fast as the engine makes them; the latest, and the median is {:.0} ms.",
                took.as_secs_f64(),
                behind.median()
            ),
        });
    }
    Ok(())
}
