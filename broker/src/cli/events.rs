//! What happened on a host: its history by the engine's time, and what is added to it from now on.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use radar_link::time::utc;
use radar_wire::event::{Action, Event};
use radar_wire::topic::AgentId;
use serde_json::Value;

use super::text::plain;
use crate::sentence::changes;
use crate::store::{Arrival, Reader};
use crate::told::Told;

/// Between two looks at the store.
const LOOK: Duration = Duration::from_millis(200);

/// Where the time of an event starts to be shown with its container's name beside it.
const ACTION: usize = 13;

/// Prints the history of an agent, from `since` (milliseconds since 1970) on.
pub(super) fn show(
    database: &Path,
    agent: &AgentId,
    since: Option<i64>,
    json: bool,
    follow: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut reader = Reader::open(database)?;
    let known = reader.agents()?.iter().any(|row| row.agent == *agent);
    anyhow::ensure!(known, "no agent {agent} is known; `radar-bridge agents` shows those that are");
    // What arrives while the history is printed belongs to what follows.
    let last = reader.last_arrival()?;
    let mut printed = Ok(());
    reader.events(agent, since, |stored| {
        if follow && stored.arrival > last {
            return ControlFlow::Continue(());
        }
        printed = print(&stored.event, json, out);
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    printed?;
    out.flush()?;
    if follow { go_on(&mut reader, agent, last, json, out) } else { Ok(()) }
}

/// Prints what arrives after `last`, for ever.
fn go_on(
    reader: &mut Reader,
    agent: &AgentId,
    mut last: Arrival,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    loop {
        if !reader.changed()? {
            thread::sleep(LOOK);
            continue;
        }
        loop {
            let arrived = reader.arrivals(agent, last)?;
            let Some(newest) = arrived.last() else { break };
            last = newest.arrival;
            for stored in &arrived {
                print(&stored.event, json, out)?;
            }
            out.flush()?;
        }
    }
}

fn print(event: &Event, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, &Told::of(event)).map_err(io::Error::from).context("cannot print")?;
        out.write_all(b"\n")?;
    } else {
        writeln!(out, "{}", sentence(event))?;
    }
    Ok(())
}

/// An event as a line for people.
fn sentence(event: &Event) -> String {
    // The engine's own time is when it happened; without it there is only when it was seen.
    let time = event.time.map_or(event.at, |nanos| nanos.div_euclid(1_000_000));
    let mut line = format!("{}  {:ACTION$}  ", utc::text(time), plain(event.action.as_str()));
    if event.action == Action::Gap {
        let _ = match (event.missing(), event.first) {
            (Some(1), _) => write!(line, "1 event lost (number {})", event.sequence),
            (Some(count), Some(first)) => write!(line, "{count} events lost (numbers {first} to {})", event.sequence),
            _ => write!(line, "events lost; how many is not known"),
        };
        return line;
    }
    match (&event.name, event.id) {
        (Some(name), _) => line.push_str(&plain(name)),
        (None, Some(id)) => line.push_str(&id.short()),
        (None, None) => line.push('-'),
    }
    let changes = match serde_json::to_value(&event.set) {
        Ok(Value::Object(set)) => changes(set),
        _ => String::new(),
    };
    if !changes.is_empty() {
        let _ = write!(line, "  {changes}");
    }
    line
}

#[cfg(test)]
mod tests;
