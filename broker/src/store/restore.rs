//! What is read back at start.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::rows::{Restored, RestoredAgent};
use super::sql;

/// Reads everything that the cores start with.
pub(super) fn restore(connection: &Connection) -> rusqlite::Result<Restored> {
    let origin = connection.query_row("SELECT value FROM meta WHERE name = 'origin'", [], |row| row.get(0))?;
    let mut upstreams = connection.prepare(&format!("SELECT {} FROM upstream", sql::UPSTREAM))?;
    let upstreams = upstreams.query_map([], sql::upstream)?.collect::<rusqlite::Result<_>>()?;
    let mut commands =
        connection.prepare(&format!("SELECT {} FROM commands WHERE ended IS NULL ORDER BY jti", sql::COMMAND))?;
    let commands = commands.query_map([], sql::command)?.collect::<rusqlite::Result<_>>()?;
    let last_command = connection.query_row("SELECT max(jti) FROM commands", [], |row| row.get(0))?;
    Ok(Restored { origin, agents: agents(connection)?, upstreams, commands, last_command })
}

fn agents(connection: &Connection) -> rusqlite::Result<Vec<RestoredAgent>> {
    let mut snapshots = connection.prepare(&format!("SELECT {} FROM snapshots", sql::SNAPSHOT))?;
    let snapshots = snapshots.query_map([], |row| Ok((row.get::<_, i64>(5)?, sql::snapshot(row)?)))?;
    let mut snapshots = snapshots.collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let mut tail = connection.prepare(&format!(
        "SELECT {} FROM events WHERE agent = ?1 AND (epoch, seq) > (?2, ?3) ORDER BY arrival",
        sql::EVENT
    ))?;
    let mut agents = connection.prepare(&format!("SELECT {} FROM agents ORDER BY id", sql::AGENT))?;
    let agents = agents.query_map([], |row| Ok((row.get::<_, i64>(15)?, sql::agent_row(row)?)))?;
    agents
        .map(|agent| {
            let (key, row) = agent?;
            let snapshot = snapshots.remove(&key);
            let tail = match &snapshot {
                Some(snapshot) => tail
                    .query_map([key, sql::integer(snapshot.epoch), sql::integer(snapshot.sequence)], sql::event)?
                    .collect::<rusqlite::Result<_>>()?,
                None => Vec::new(),
            };
            Ok(RestoredAgent { row, snapshot, tail })
        })
        .collect()
}
