//! Updates of many containers on several hosts, wave by wave.

use anyhow::{Context, Result};
use radar_tests::engine::Engine;
use serde_json::{Value, json};

use super::updates::{Aged, left, version};
use super::{DONE, FAILED, REFUSED, Stage};

/// What the program has told of each container, and its summary.
fn told(out: &str) -> Result<(Vec<(String, String)>, Value)> {
    let lines = out.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>().context("lines of JSON")?;
    let summary = lines.last().context("a summary")?["summary"].clone();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let ends = ["updated", "rolled back", "unchanged", "failed"];
    let ended = lines.iter().map(|line| (text(line, "target"), text(line, "state")));
    let mut ended: Vec<_> = ended.filter(|(_, state)| ends.contains(&state.as_str())).collect();
    ended.sort_unstable();
    Ok((ended, summary))
}

// DM9, DM10
#[tokio::test]
async fn waves_go_over_all_hosts_and_stop_where_one_fails() -> Result<()> {
    let stage = Stage::shared().await?;
    let engine = Engine::start().await?;
    let _attic = stage.agent("attic", &engine).await?;
    let (good, bad) = (Aged::make(&stage.engine).await?, Aged::broken(&stage.engine).await?);
    let own = |name: &str| format!("{name}-{}", stage.engine.unique("wave"));
    let [bad_one, two, three, four] = ["a", "b", "c", "d"].map(own);
    for aged in [&good, &bad] {
        aged.carry(&engine).await?;
    }
    for (agent, engine, name, aged) in [
        ("attic", &engine, &bad_one, &bad),
        ("attic", &engine, &two, &good),
        ("pi", &stage.engine, &three, &good),
        ("pi", &stage.engine, &four, &good),
    ] {
        engine.run(name, aged.spec().label("radar.wave", "1")).await?;
        stage.known(agent, name).await?;
    }
    let words = ["update", "--all", "--label", "radar.wave=1", "--in-waves-of", "2", "--json"];
    let asks = stage.radar.say(&words).await?;
    assert!(asks.code == REFUSED && asks.err.contains("--yes"), "{asks:?}");

    let words = [&words[..], &["--yes"]].concat();
    let said = stage.radar.say(&[&words[..], &["--stop-on-failure"]].concat()).await?;
    let (ended, summary) = told(&said.out).with_context(|| format!("{said:?}"))?;
    let at = |agent: &str, name: &str, state: &str| (format!("{agent}/{name}"), state.to_owned());
    assert_eq!(ended, [at("attic", &bad_one, "rolled back"), at("attic", &two, "updated")], "{said:?}");
    assert_eq!(said.code, FAILED, "{said:?}");
    assert_eq!(summary, json!({ "updated": 1, "rolled_back": 1, "not_begun": 2 }), "{said:?}");
    for (engine, name, expected) in
        [(&engine, &bad_one, "1"), (&engine, &two, "2"), (&stage.engine, &three, "1"), (&stage.engine, &four, "1")]
    {
        assert_eq!(version(engine, name).await?, expected, "{name}");
        assert_eq!(left(engine, name).await?.len(), 0, "{name}");
    }
    stage.known("attic", &two).await?;

    let only = [&words[..], &["--agent", "pi"]].concat();
    let said = stage.radar.say(&only).await?;
    assert_eq!((said.code, told(&said.out)?.1), (DONE, json!({ "updated": 2 })), "{said:?}");
    let said = stage.radar.say(&words).await?;
    let (_, summary) = told(&said.out)?;
    assert_eq!((said.code, summary), (FAILED, json!({ "unchanged": 3, "rolled_back": 1 })), "{said:?}");
    Ok(())
}
