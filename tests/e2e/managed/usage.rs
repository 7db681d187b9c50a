//! What containers use, against what their engine counts.

use anyhow::{Context, Result, ensure};
use bollard::models::HostConfig;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use radar_link::time::Clock;
use radar_tests::engine::{Engine, Spec};
use radar_tests::wait::until;
use serde_json::Value;

use super::{NOT_FOUND, Stage};
use crate::world::DEADLINE;

/// The nanoseconds of processor time that a container has had.
async fn used(engine: &Engine, name: &str) -> Result<u64> {
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
    let answer = engine.client()?.stats(name, Some(options)).next().await.context("an answer")??;
    answer.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage).context("processor time")
}

fn of<'a>(sample: &'a Value, name: &str) -> Result<&'a Value> {
    let mut all = sample["containers"].as_array().into_iter().flatten();
    all.find(|one| one["name"] == name).map(|one| &one["use"]).with_context(|| sample.to_string())
}

// DM8
#[tokio::test]
async fn a_busy_container_is_shown_with_its_share_and_nothing_is_made_up() -> Result<()> {
    shown(Stage::shared().await?).await
}

pub(super) async fn shown(stage: &Stage) -> Result<()> {
    // A third of a processor, of which a machine with much to do has one left too.
    let third = |body: &mut bollard::models::ContainerCreateBody| {
        body.host_config.get_or_insert_with(HostConfig::default).nano_cpus = Some(330_000_000);
    };
    let busy = stage.container("busy", Spec::shell("while :; do :; done").adjust(third)).await?;
    let idle = stage.container("idle", Spec::default()).await?;
    // The agent looks for all at once, may have been looking already when the container began, and looks at a part of
    // the time between the two figures of the engine. On a machine with much to do, the share changes meanwhile.
    let (sample, percent) = until("its share", DEADLINE, async || {
        let (clock, before) = (Clock::start(), used(&stage.engine, &busy).await?);
        let sample = stage.radar.json(&["stats", "pi", "--no-stream"]).await?;
        let after = used(&stage.engine, &busy).await?;
        let real = (after - before) as f64 / clock.now().mono.as_nanos() as f64 * 100.0;
        let percent = of(&sample, &busy)?["cpu_percent"].as_f64().with_context(|| sample.to_string())?;
        ensure!((percent - real).abs() < 12.0 && percent > 10.0, "{percent} % shown, {real} % used");
        Ok((sample, percent))
    })
    .await?;
    let shown = of(&sample, &busy)?;
    ensure!(shown["memory"].as_u64() > Some(0) && shown["pids"].as_u64() == Some(1), "{shown}");
    let idle = of(&sample, &idle)?;
    ensure!(idle["cpu_percent"].as_f64() < Some(5.0), "{idle}");
    for figure in ["received", "sent"] {
        // Podman counts nothing, which is true.
        let none = if stage.engine.kind().is_podman() { Some(&Value::from(0)) } else { None };
        assert_eq!(idle.get(figure), none, "it has no network");
    }
    let host = &sample["host"];
    ensure!(host["cpu_percent"].as_f64() >= Some(percent / 2.0) && host["memory"].as_u64() > Some(0), "{host}");
    let one = stage.radar.done(&["stats", &format!("pi/{busy}"), "--no-stream"]).await?;
    assert!(one.lines().count() == 2 && one.contains(&busy), "{one}");
    let none = stage.radar.say(&["stats", "pi/nowhere", "--no-stream"]).await?;
    assert_eq!(none.code, NOT_FOUND, "{none:?}");
    stage.engine.remove(&busy).await
}

// DM8
#[tokio::test]
async fn samples_come_one_by_one_to_who_watches() -> Result<()> {
    let stage = Stage::shared().await?;
    let name = stage.container("watched", Spec::default()).await?;
    let watching = stage.radar.begin(&["stats", "pi", "--interval", "1", "--json"]).await?;
    let read = |out: &str| {
        // What is being written is no line yet.
        let lines = out.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()
    };
    // The agent may have been looking already when the container began.
    let with = |samples: &[Value]| samples.iter().filter_map(|sample| of(sample, &name).ok()).count();
    let wanted = |out: &str| read(out).is_ok_and(|samples| with(&samples) >= 3);
    let samples = read(&watching.wait_out("three samples", wanted).await?)?;
    assert!(samples[0]["host"].get("cpu_percent").is_none(), "of one sample nothing is known: {}", samples[0]);
    for two in samples.windows(2) {
        assert!(two[0]["at"].as_i64() < two[1]["at"].as_i64(), "{two:?}");
        let [before, after] = [&two[0], &two[1]].map(|sample| of(sample, &name).ok());
        assert_eq!(before.is_some(), after.is_some_and(|it| it["cpu_percent"].is_number()), "{two:?}");
    }
    watching.kill9().await
}
