//! The bridge's history, as its own command prints it, against what the engine said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use radar_tests::observer::EngineEvent;
use radar_tests::wait::until;
use serde::Deserialize;

use super::{DEADLINE, Program};

/// A line of `radar-bridge events --json`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    epoch: u64,
    sequence: u64,
    engine_time: Option<i64>,
    pub(crate) action: String,
    container: Option<String>,
    count: Option<u64>,
}

const POLL: Duration = Duration::from_millis(300);

/// What names an event of the engine: its time, its word and the container.
type Key = (i64, String, String);

/// Everything that the bridge has of an agent, in the engine's order.
pub(crate) async fn history(bridge: &Program, agent: &str) -> Result<Vec<Line>> {
    let output = bridge.call(&["events", agent, "--json"]).await?;
    ensure!(output.status.success(), "events: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).context("its output is text")?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// The numbers of all gaps together; `None` in it where a gap has no known size.
pub(crate) fn gaps(history: &[Line]) -> Vec<Option<u64>> {
    history.iter().filter(|line| line.action == "gap").map(|line| line.count).collect()
}

fn expected(observed: &[EngineEvent]) -> Vec<Key> {
    observed.iter().map(|event| (event.time_nano, event.kind().to_owned(), event.id.clone())).collect()
}

/// What the engine said of the containers in `observed`, as the bridge has it, in its order.
fn kept(history: &[Line], observed: &[EngineEvent]) -> Vec<Key> {
    let ours = |id: &String| observed.iter().any(|event| event.id == *id);
    let key = |line: &Line| {
        let id = line.container.clone().filter(ours)?;
        Some((line.engine_time?, line.action.clone(), id))
    };
    let first = observed.iter().map(|event| event.time_nano).min().unwrap_or_default();
    history.iter().filter_map(key).filter(|(time, ..)| *time >= first).collect()
}

/// Waits until the bridge has every observed event, once and in order, and nothing that was not observed.
pub(crate) async fn wait_complete(bridge: &Program, agent: &str, observed: &[EngineEvent]) -> Result<Vec<Line>> {
    let mut expected = expected(observed);
    expected.sort();
    let what = format!("all {} events in the history of {agent}", expected.len());
    until(&what, 2 * DEADLINE, async || {
        let history = history(bridge, agent).await?;
        let compared = compare(&expected, &kept(&history, observed))
            .with_context(|| format!("numbers that are missing: {:?}", holes(&history)));
        if compared.is_err() {
            // Reading it all is work that the programs under test should not have to wait for.
            tokio::time::sleep(POLL).await;
        }
        compared.map(|()| history)
    })
    .await
}

/// For each epoch the ranges of numbers that the history has not.
fn holes(history: &[Line]) -> BTreeMap<u64, Vec<RangeInclusive<u64>>> {
    let mut numbers: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for line in history {
        numbers.entry(line.epoch).or_default().insert(line.sequence);
    }
    let missing = |all: BTreeSet<u64>| {
        let before = std::iter::once(0).chain(all.iter().copied());
        before
            .zip(&all)
            .filter(|(before, number)| before + 1 < **number)
            .map(|(before, number)| before + 1..=number - 1)
            .collect()
    };
    numbers.into_iter().map(|(epoch, all)| (epoch, missing(all))).collect()
}

fn compare(expected: &[Key], found: &[Key]) -> Result<()> {
    let mut count: BTreeMap<&Key, i64> = BTreeMap::new();
    expected.iter().for_each(|key| *count.entry(key).or_default() += 1);
    found.iter().for_each(|key| *count.entry(key).or_default() -= 1);
    let missing: Vec<_> = count.iter().filter(|(_, count)| **count > 0).map(|(key, _)| key).collect();
    let double: Vec<_> = count.iter().filter(|(_, count)| **count < 0).map(|(key, _)| key).collect();
    if !missing.is_empty() || !double.is_empty() {
        bail!(
            "{} of {} found, {} missing (first {:?}), {} too many (first {:?})",
            found.len(),
            expected.len(),
            missing.len(),
            missing.first(),
            double.len(),
            double.first()
        );
    }
    let times: Vec<_> = found.iter().map(|(time, ..)| *time).collect();
    ensure!(times.is_sorted(), "the history is not in the engine's order");
    Ok(())
}
