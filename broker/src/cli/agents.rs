//! All agents, each on a line: what one asks first when something looks wrong.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use radar_wire::codec::decode;
use radar_wire::status::Status;
use radar_wire::topic::AgentId;
use serde::Serialize;

use super::text::{columns, plain};
use super::when;
use crate::store::Reader;
use crate::store::rows::AgentRow;

/// What is told of an agent; as JSON, one object a line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a AgentId,
    name: Option<String>,
    state: &'static str,
    reason: &'a str,
    /// Milliseconds since 1970, or null for never.
    last_heard: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<Containers>,
    engine: Option<Engine>,
    version: Option<String>,
    gaps: Gaps,
    upstream: Option<Upstream>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Containers {
    total: u32,
    running: u32,
    /// Whether these are all, and the engine answers; if not, they are the last that were known.
    complete: bool,
}

#[derive(Debug, Serialize)]
struct Engine {
    kind: String,
    version: String,
    answers: bool,
    /// What who guards its socket denies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<Box<str>>,
}

#[derive(Debug, Serialize)]
struct Gaps {
    /// Events that are lost for good.
    lost: u64,
    /// Gaps of unknown size.
    unknown: u64,
    /// Events that the agent is asked for.
    missing: u64,
}

/// The account at the server.
#[derive(Debug, Clone, Serialize)]
struct Upstream {
    server: String,
    id: String,
    state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
}

/// Prints all agents that the store knows.
pub(super) fn show(database: &Path, json: bool, now: i64, out: &mut impl Write) -> anyhow::Result<()> {
    let reader = Reader::open(database)?;
    let rows = reader.agents()?;
    let upstreams = upstreams(&reader)?;
    let lines: Vec<_> = rows.iter().map(|row| Line::of(row, upstreams.get(&row.agent).cloned())).collect();
    if json {
        for line in &lines {
            writeln!(out, "{}", serde_json::to_string(line)?)?;
        }
    } else if lines.is_empty() {
        writeln!(out, "No agent has been heard of yet.")?;
    } else {
        write!(out, "{}", table(&lines, now))?;
    }
    Ok(())
}

/// The accounts at the server, by agent; of several servers the one that comes last.
fn upstreams(reader: &Reader) -> anyhow::Result<BTreeMap<AgentId, Upstream>> {
    let accounts = reader.upstreams()?.into_iter();
    Ok(accounts
        .map(|account| {
            let upstream =
                Upstream { server: account.server, id: account.upstream, state: account.standing, note: account.note };
            (account.agent, upstream)
        })
        .collect())
}

impl<'a> Line<'a> {
    fn of(row: &'a AgentRow, upstream: Option<Upstream>) -> Self {
        let status: Option<Status> = row.status.as_ref().and_then(|bytes| decode(None, bytes).ok());
        let agent = status.as_ref().map(|status| &status.agent);
        let engine = status.as_ref().and_then(|status| status.engine.as_ref());
        let said = status.iter().flat_map(|status| &status.warnings).map(|warning| warning.to_string());
        Self {
            id: &row.agent,
            name: agent.map(|agent| agent.name.to_string()),
            state: match (&status, row.online) {
                (None, _) => "unknown",
                (Some(_), true) => "online",
                (Some(_), false) => "offline",
            },
            reason: &row.reason,
            last_heard: (row.heard > 0).then_some(row.heard),
            containers: row.containers.map(|(total, running)| Containers { total, running, complete: row.complete }),
            engine: engine.map(|engine| Engine {
                kind: engine.kind.to_string(),
                version: engine.version.to_string(),
                answers: row.engine.unwrap_or(engine.answers),
                unavailable: engine.unavailable.clone(),
            }),
            version: agent.map(|agent| agent.version.to_string()),
            gaps: Gaps { lost: row.lost, unknown: row.unknown_gaps, missing: row.missing },
            upstream,
            warnings: row.conflict.clone().into_iter().chain(said).collect(),
        }
    }
}

fn table(lines: &[Line<'_>], now: i64) -> String {
    let mut rows = Vec::new();
    let mut warnings = String::new();
    for line in lines {
        rows.push([
            line.id.to_string(),
            line.name.as_deref().map(plain).unwrap_or_default(),
            state(line),
            line.last_heard.map_or_else(|| "never".to_owned(), |heard| when::ago(heard, now)),
            containers(line),
            engine(line),
            version(line),
            gaps(&line.gaps),
            upstream(line.upstream.as_ref()),
        ]);
        if let Some(engine) = line.engine.as_ref().filter(|engine| !engine.unavailable.is_empty()) {
            let denied = plain(&engine.unavailable.join(", "));
            warnings.push_str(&format!("{}: who guards its engine's socket denies {denied}\n", line.id));
        }
        for warning in &line.warnings {
            warnings.push_str(&format!("{}: {}\n", line.id, plain(warning)));
        }
    }
    let head = ["AGENT", "NAME", "STATE", "LAST HEARD", "CONTAINERS", "ENGINE", "VERSION", "GAPS", "AT THE SERVER"];
    let mut text = columns(head, &rows);
    if !warnings.is_empty() {
        text.push('\n');
        text.push_str(&warnings);
    }
    text
}

fn state(line: &Line<'_>) -> String {
    match line.state {
        "offline" => format!("offline ({})", plain(line.reason)),
        state => state.to_owned(),
    }
}

fn containers(line: &Line<'_>) -> String {
    let Some(Containers { total, running, complete }) = &line.containers else { return "?".to_owned() };
    let fresh = *complete && line.state == "online";
    let text = format!("{total} ({running} running)");
    if fresh { text } else { format!("{text}, last known") }
}

fn engine(line: &Line<'_>) -> String {
    let Some(engine) = &line.engine else { return "?".to_owned() };
    let text = plain(&format!("{} {}", engine.kind, engine.version));
    let unreachable = if engine.answers { "" } else { "unreachable" };
    [text.trim(), unreachable].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn version(line: &Line<'_>) -> String {
    match line.version.as_deref() {
        None => "?".to_owned(),
        Some(crate::VERSION) => crate::VERSION.to_owned(),
        Some(other) => format!("{} (bridge {})", plain(other), crate::VERSION),
    }
}

fn gaps(gaps: &Gaps) -> String {
    let mut parts = Vec::new();
    if gaps.lost > 0 {
        parts.push(format!("{} lost", gaps.lost));
    }
    if gaps.unknown > 0 {
        parts.push(format!("{} of unknown size", gaps.unknown));
    }
    if gaps.missing > 0 {
        parts.push(format!("{} asked for", gaps.missing));
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn upstream(upstream: Option<&Upstream>) -> String {
    match upstream {
        None => "-".to_owned(),
        Some(Upstream { id, state, .. }) => format!("{state} as {}", plain(id)),
    }
}

#[cfg(test)]
mod tests;
