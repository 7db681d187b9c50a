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
use radar_wire::fields::Fields;
use radar_wire::topic::AgentId;
use serde_json::Value;

use super::text::plain;
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
    let changes = changes(&event.set);
    if !changes.is_empty() {
        let _ = write!(line, "  {changes}");
    }
    line
}

/// What changed: the values that people ask for, names of the rest. Of a new container only what it is.
fn changes(set: &Fields) -> String {
    /// Shown with their values, in this order.
    const VALUES: [&str; 5] = ["state", "health", "exit_code", "restarts", "name"];
    /// Told by the time of the line, or by what is shown of the image.
    const TOLD: [&str; 7] = ["created", "started", "finished", "image", "tag", "digest", "image_id"];
    let Ok(Value::Object(mut fields)) = serde_json::to_value(set) else { return String::new() };
    let is_whole = ["name", "image", "state"].iter().all(|name| fields.contains_key(*name));
    let mut parts = Vec::new();
    if let (Some(image), tag) = (fields.get("image"), fields.get("tag").and_then(Value::as_str)) {
        let image = plain(image.as_str().unwrap_or_default());
        parts.push(tag.map_or_else(|| image.clone(), |tag| format!("{image}:{}", plain(tag))));
    } else if let Some(tag) = fields.get("tag").and_then(Value::as_str) {
        parts.push(format!("tag {}", plain(tag)));
    } else if fields.contains_key("digest") || fields.contains_key("image_id") {
        parts.push("image".to_owned());
    }
    if is_whole {
        fields.retain(|name, value| name != "name" && !value.is_null() && VALUES.contains(&name.as_str()));
    }
    for name in VALUES {
        match fields.remove(name) {
            None => {}
            Some(Value::Null) => parts.push(format!("no {}", name.replace('_', " "))),
            Some(Value::String(text)) if name == "state" || name == "health" => parts.push(plain(&text)),
            Some(Value::String(text)) => parts.push(format!("{name} {}", plain(&text))),
            Some(other) => parts.push(format!("{} {}", name.replace('_', " "), plain(&other.to_string()))),
        }
    }
    parts.extend(fields.keys().filter(|name| !TOLD.contains(&name.as_str())).map(|name| plain(name)));
    parts.join(", ")
}

#[cfg(test)]
mod tests;
