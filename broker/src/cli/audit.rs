//! Who had which agent do what, when, and how it ended; the newest last.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context as _;
use radar_link::time::utc;
use radar_wire::command::Command;
use radar_wire::topic::AgentId;
use serde::Serialize;
use serde_json::Value;

use super::text::plain;
use crate::commanding::State;
use crate::sentence::asked;
use crate::store::Reader;
use crate::store::rows::CommandRow;

/// Prints the commands of an agent, or of all, from `since` (milliseconds since 1970) on.
pub(super) fn show(
    database: &Path,
    agent: Option<&AgentId>,
    since: Option<i64>,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let reader = Reader::open(database)?;
    let mut printed = Ok(());
    let mut any = false;
    reader.commands(agent, since, |row| {
        any = true;
        printed = print(&row, json, out);
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    printed?;
    if !any && !json {
        writeln!(out, "No command was given.")?;
    }
    Ok(())
}

fn print(row: &CommandRow, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, &Line::of(row)).map_err(io::Error::from).context("cannot print")?;
        out.write_all(b"\n")?;
    } else {
        writeln!(out, "{}", sentence(row))?;
    }
    Ok(())
}

/// A command as a line of JSON; times in milliseconds since 1970 UTC.
#[derive(Serialize)]
struct Line<'a> {
    jti: &'a str,
    agent: &'a AgentId,
    who: &'a str,
    what: &'a Command,
    issued: i64,
    expires: i64,
    state: State,
    reason: Option<&'a str>,
    result: Option<Value>,
    ended: Option<i64>,
}

impl<'a> Line<'a> {
    fn of(row: &'a CommandRow) -> Self {
        Self {
            jti: &row.jti,
            agent: &row.agent,
            who: &row.who,
            what: &row.what,
            issued: row.issued,
            expires: row.expires,
            state: row.state,
            reason: row.reason.as_deref(),
            result: row.result.as_deref().and_then(|result| serde_json::from_str(result).ok()),
            ended: row.ended,
        }
    }
}

/// A command as a line for people.
fn sentence(row: &CommandRow) -> String {
    let (time, agent, who) = (utc::text(row.issued), &row.agent, plain(&row.who));
    let reason = row.reason.as_deref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    let what = serde_json::to_value(&row.what).map(|what| asked(&what)).unwrap_or_default();
    format!("{time}  {who}  {agent}  {what}  {}{reason}", row.state.as_str())
}

#[cfg(test)]
mod tests;
