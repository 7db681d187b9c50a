//! Programs that are killed while something is under way: what is told then, and what comes of it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_tests::engine::Spec;
use radar_tests::wait::until;
use serde_json::{Value, json};

use super::updates::{Aged, left, version};
use super::{DONE, FAILED, Stage, UNKNOWN};
use crate::world::DEADLINE;

/// How long the program waits for a bridge that is away, and then for what the bridge has.
const PATIENCE: Duration = Duration::from_secs(90);

// DM10, E5
#[tokio::test]
async fn an_agent_that_is_killed_in_an_update_goes_back_or_finishes() -> Result<()> {
    let stage = Stage::shared().await?;
    let mortal = stage.agent("mortal", &stage.engine).await?;
    let aged = Aged::make(&stage.engine).await?;
    let name = stage.engine.unique("interrupted");
    stage.engine.run(&name, aged.spec()).await?;
    stage.known("mortal", &name).await?;
    let (at, journal) = (format!("mortal/{name}"), mortal.data().join("updates"));
    let noted = || fs::read(&journal).unwrap_or_default();
    // It is noted, then which one was made, then that it is healthy, and then that all is over.
    for (changes, expected) in [(1, "1"), (2, "1"), (3, "2"), (4, "2")] {
        stage.engine.remove(&name).await?;
        aged.age(&stage.engine).await?;
        let id = stage.engine.run(&name, aged.spec()).await?.id;
        until("the new container at the bridge", DEADLINE, async || {
            let known = stage.known("mortal", &name).await?;
            if known["id"] == *id { Ok(()) } else { Err(anyhow::anyhow!("{known}")) }
        })
        .await?;
        let before = stage.audit("mortal", "update", &name).await?.len();
        let (mut last, mut seen) = (noted(), 0);
        let asked = stage.radar.begin(&["update", &at]).await?;
        let watching = tokio::task::spawn_blocking({
            let journal = journal.clone();
            move || {
                let clock = radar_link::time::Clock::start();
                while seen < changes && clock.now().mono < DEADLINE {
                    let now = fs::read(&journal).unwrap_or_default();
                    seen += u32::from(now != last);
                    last = now;
                }
                seen
            }
        });
        ensure!(watching.await? == changes, "{}", mortal.log());
        mortal.kill9().await?;
        mortal.start().await?;

        let told = asked.end(PATIENCE).await?;
        let row = stage.ended("mortal", "update", &name).await?;
        assert_eq!(stage.audit("mortal", "update", &name).await?.len(), before + 1, "{row}");
        let why = row["reason"].as_str().unwrap_or_default();
        let ended = if expected == "2" {
            row["state"] == "succeeded" && told.code == DONE
        } else {
            row["state"] == "failed" && why.starts_with("rolled-back: the agent ended") && told.code == FAILED
        };
        assert!(ended, "{changes}: {row}, {told:?}\n{}", mortal.log());
        assert_eq!(version(&stage.engine, &name).await?, expected, "{changes}: {row}");
        assert_eq!(stage.state(&name).await?, "running", "{changes}");
        assert_eq!(stage.engine.inspect(&name).await?.id == Some(id), expected == "1", "{changes}");
        assert_eq!(left(&stage.engine, &name).await?, [""; 0], "{changes}");
        until("an empty journal", DEADLINE, async || {
            if noted().is_empty() { Ok(()) } else { Err(format!("{} bytes", noted().len())) }
        })
        .await?;
    }
    Ok(())
}

// PS4, PS5, E5
#[tokio::test]
async fn a_bridge_that_is_killed_cuts_logs_and_leaves_acts_open_until_it_is_back() -> Result<()> {
    let stage = Stage::set().await?;
    let chatty = stage.container("chatty", Spec::shell("while :; do echo line; sleep 0.1; done")).await?;
    let stubborn = stage.container("stubborn", Spec::stubborn()).await?;
    let (log, act) = (format!("pi/{chatty}"), format!("pi/{stubborn}"));
    let following = stage.radar.begin(&["logs", "-f", &log]).await?;
    following.wait_out("the log", |out| out.starts_with("line\n")).await?;
    let stopping = stage.radar.begin(&["stop", &act, "--timeout", "4"]).await?;
    until("the command at the agent", DEADLINE, async || {
        let rows = stage.audit("pi", "stop", &stubborn).await?;
        if rows.iter().any(|row| row["state"] == "accepted") { Ok(()) } else { Err(anyhow::anyhow!("{rows:?}")) }
    })
    .await?;
    stage.bridge.kill9().await?;

    let cut = following.end(DEADLINE).await?;
    assert!(cut.code == FAILED && cut.err.contains("the log was cut"), "{cut:?}");
    let open = stopping.end(DEADLINE).await?;
    assert!(open.code == UNKNOWN && open.err.contains("radar audit"), "{open:?}");
    let away = stage.radar.say(&["agents"]).await?;
    assert!(away.code == 5 && away.err.contains("cannot reach the bridge"), "{away:?}");

    stage.bridge.start().await?;
    stage.bridge.wait_log("pi online").await?;
    until("the API", DEADLINE, async || stage.radar.json(&["agents"]).await).await?;
    let row = stage.ended("pi", "stop", &stubborn).await?;
    assert_eq!((&row["state"], &*stage.state(&stubborn).await?), (&json!("succeeded"), "exited"), "{row}");
    // Nobody listens any more, and the agent finds that out.
    let row = stage.ended("pi", "logs", &chatty).await?;
    assert_eq!((&row["state"], &row["result"]["end"]), (&json!("succeeded"), &json!("nobody listens")), "{row}");
    let order = row["command"].as_str().context("its name")?;
    assert_eq!(stage.radar.say(&["command", order]).await?.code, DONE);
    Ok(())
}

// DM10, E5
#[tokio::test]
async fn an_update_outlives_the_bridge_that_asked_for_it_and_who_waits_hears_of_it() -> Result<()> {
    let stage = Stage::set().await?;
    let aged = Aged::make(&stage.engine).await?;
    // It is well for certain only after some seconds.
    let name = stage.container("outlives", aged.plain().health("true", Duration::from_secs(2))).await?;
    let updating = stage.radar.begin(&["update", &format!("pi/{name}"), "--json"]).await?;
    updating.wait_out("a step of it", |out| out.contains("\"what\"")).await?;
    stage.bridge.kill9().await?;
    until("the new container", DEADLINE, async || {
        // It has another name for a moment.
        let version = version(&stage.engine, &name).await?;
        if version == "2" { Ok(()) } else { Err(anyhow::anyhow!(version)) }
    })
    .await?;
    stage.bridge.start().await?;
    let told = updating.end(PATIENCE).await?;
    let last: Value = serde_json::from_str(told.out.lines().last().context("what became of it")?)?;
    assert_eq!((told.code, &last["summary"]), (DONE, &json!({ "updated": 1 })), "{told:?}");
    let row = stage.ended("pi", "update", &name).await?;
    assert_eq!(row["state"], json!("succeeded"), "{row}");
    assert_eq!(left(&stage.engine, &name).await?, [""; 0]);
    Ok(())
}
