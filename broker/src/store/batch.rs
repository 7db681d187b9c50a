//! How a batch of writes becomes one transaction.

use std::collections::BTreeMap;

use radar_wire::event::Event;
use radar_wire::fields::Fields;
use radar_wire::topic::AgentId;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::rows::{AgentRow, CommandRow, SnapshotRow, UpstreamRow, Write};
use super::{Committed, sql};

/// What the thread remembers of the database, so that it need not ask. Read anew after a failure.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) agents: BTreeMap<AgentId, Place>,
    pub(super) last_arrival: i64,
}

/// An agent in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: i64,
    /// How many events are stored of it.
    pub(super) events: i64,
}

impl Memory {
    /// Reads it.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let last_arrival =
            connection.query_row("SELECT coalesce(max(arrival), 0) FROM events", [], |row| row.get(0))?;
        let mut statement = connection.prepare("SELECT id, key, events FROM agents")?;
        let rows = statement
            .query_map([], |row| Ok((sql::agent(row, 0)?, Place { key: row.get(1)?, events: row.get(2)? })))?;
        Ok(Self { agents: rows.collect::<rusqlite::Result<_>>()?, last_arrival })
    }

    /// How many events are stored.
    pub(super) fn events(&self) -> i64 {
        self.agents.values().map(|place| place.events).sum()
    }
}

/// Writes all of it or nothing. On an error the memory is void.
pub(super) fn commit(
    connection: &mut Connection,
    memory: &mut Memory,
    writes: &[Write],
) -> rusqlite::Result<Committed> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let committed = Batch::new(&transaction, memory)?.write(writes)?;
    transaction.commit()?;
    Ok(committed)
}

/// A transaction under way.
struct Batch<'a> {
    transaction: &'a Transaction<'a>,
    memory: &'a mut Memory,
    insert: CachedStatement<'a>,
    fields: Vec<u8>,
    /// By how much the number of an agent's events has changed.
    more: BTreeMap<i64, i64>,
    committed: Committed,
}

impl<'a> Batch<'a> {
    fn new(transaction: &'a Transaction<'a>, memory: &'a mut Memory) -> rusqlite::Result<Self> {
        let insert = transaction.prepare_cached(
            "INSERT INTO events (arrival, agent, epoch, seq, first, at, time, action, container, name, fields)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
        )?;
        let (fields, more, committed) = Default::default();
        Ok(Self { transaction, memory, insert, fields, more, committed })
    }

    fn write(mut self, writes: &[Write]) -> rusqlite::Result<Committed> {
        for write in writes {
            match write {
                Write::Agent(row) => self.agent(row)?,
                Write::Snapshot(agent, row) => self.snapshot(agent, row)?,
                Write::Event { agent, heard, event } => self.event(agent, *heard, event)?,
                Write::Recovered { agent, epoch, sequence } => self.recovered(agent, *epoch, *sequence)?,
                Write::Purge(agent) => self.purge(agent)?,
                Write::Upstream(row) => self.upstream(row)?,
                Write::Command(row) => self.command(row)?,
            }
        }
        let mut count = self.transaction.prepare_cached("UPDATE agents SET events = events + ?2 WHERE key = ?1")?;
        for (key, more) in &self.more {
            count.execute([key, more])?;
        }
        Ok(self.committed)
    }

    /// The key of an agent whose row was written before.
    fn key(&self, agent: &AgentId) -> rusqlite::Result<i64> {
        self.memory.agents.get(agent).map(|place| place.key).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn agent(&mut self, row: &AgentRow) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(
            "INSERT INTO agents (id, heard, online, reason, session, status, tracking, lost, unknown_gaps, missing,
                 containers, running, engine, complete, conflict)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT (id) DO UPDATE SET heard = ?2, online = ?3, reason = ?4, session = ?5,
                 status = coalesce(?6, status), tracking = ?7, lost = ?8, unknown_gaps = ?9, missing = ?10,
                 containers = ?11, running = ?12, engine = ?13, complete = ?14, conflict = ?15
             RETURNING key",
        )?;
        let (containers, running) = row.containers.unzip();
        let key = statement.query_row(
            params![
                row.agent.as_str(),
                row.heard,
                row.online,
                row.reason,
                sql::integer(row.session),
                row.status,
                row.tracking,
                sql::integer(row.lost),
                sql::integer(row.unknown_gaps),
                sql::integer(row.missing),
                containers,
                running,
                row.engine,
                row.complete,
                row.conflict,
            ],
            |row| row.get(0),
        )?;
        if !self.memory.agents.contains_key(&row.agent) {
            self.memory.agents.insert(row.agent.clone(), Place { key, events: 0 });
        }
        Ok(())
    }

    fn snapshot(&mut self, agent: &AgentId, row: &SnapshotRow) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(
            "INSERT OR REPLACE INTO snapshots (agent, epoch, seq, at, content_type, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let (epoch, sequence) = (sql::integer(row.epoch), sql::integer(row.sequence));
        statement.execute(params![self.key(agent)?, epoch, sequence, row.at, row.content_type.as_str(), row.bytes])?;
        Ok(())
    }

    fn event(&mut self, agent: &AgentId, heard: i64, event: &Event) -> rusqlite::Result<()> {
        let Some(place) = self.memory.agents.get_mut(agent) else {
            return Err(rusqlite::Error::QueryReturnedNoRows);
        };
        let arrival = heard.saturating_mul(1000).max(self.memory.last_arrival + 1);
        self.fields.clear();
        let fields = if event.set.is_empty() {
            None
        } else {
            ciborium::into_writer(&event.set, &mut self.fields).map_err(sql::unwritable)?;
            Some(&self.fields[..])
        };
        let stored = self.insert.execute(params![
            arrival,
            place.key,
            sql::integer(event.epoch),
            sql::integer(event.sequence),
            event.first.map(sql::integer),
            event.at,
            event.time,
            event.action.as_str(),
            event.id.as_ref().map(|id| &id.as_bytes()[..]),
            event.name,
            fields,
        ])?;
        if stored == 0 {
            self.committed.duplicates += 1;
            return Ok(());
        }
        self.memory.last_arrival = arrival;
        place.events += 1;
        *self.more.entry(place.key).or_default() += 1;
        self.committed.stored += 1;
        Ok(())
    }

    /// Takes a number out of the gap that stands for it.
    fn recovered(&mut self, agent: &AgentId, epoch: u64, sequence: u64) -> rusqlite::Result<()> {
        let (key, number) = (self.key(agent)?, sql::integer(sequence));
        let gap = self
            .transaction
            .prepare_cached(
                "SELECT arrival, first, seq, at FROM events WHERE agent = ?1 AND epoch = ?2 AND seq >= ?3
                 ORDER BY seq LIMIT 1",
            )?
            .query_row(params![key, sql::integer(epoch), number], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, i64>(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((arrival, Some(first), last, at)) = gap else { return Ok(()) };
        if first > number {
            return Ok(());
        }
        let set = |column: &str, number: i64| {
            let sql = format!("UPDATE events SET {column} = ?2 WHERE arrival = ?1");
            self.transaction.prepare_cached(&sql)?.execute([arrival, number])
        };
        match (first < number, number < last) {
            (false, false) => {
                self.transaction.execute("DELETE FROM events WHERE arrival = ?1", [arrival])?;
                *self.more.entry(key).or_default() -= 1;
                if let Some(place) = self.memory.agents.get_mut(agent) {
                    place.events -= 1;
                }
            }
            (true, false) => drop(set("seq", number - 1)?),
            (false, true) => drop(set("first", number + 1)?),
            (true, true) => {
                set("first", number + 1)?;
                let unsigned = |number: i64| number.unsigned_abs();
                let (action, fields) = (radar_wire::event::Action::Gap, Fields::default());
                let (first, last) = (Some(unsigned(first)), unsigned(number - 1));
                let gap =
                    Event { epoch, sequence: last, first, at, time: None, action, id: None, name: None, set: fields };
                self.event(agent, 0, &gap)?;
            }
        }
        Ok(())
    }

    fn purge(&mut self, agent: &AgentId) -> rusqlite::Result<()> {
        self.transaction.prepare_cached("DELETE FROM agents WHERE id = ?1")?.execute([agent.as_str()])?;
        self.transaction.prepare_cached("DELETE FROM upstream WHERE agent = ?1")?.execute([agent.as_str()])?;
        if let Some(place) = self.memory.agents.remove(agent) {
            self.more.remove(&place.key);
        }
        Ok(())
    }

    fn upstream(&mut self, row: &UpstreamRow) -> rusqlite::Result<()> {
        let UpstreamRow { agent, server, enrollment } = row;
        let secret = |secret: &Option<radar_link::secret::Secret>| secret.as_ref().map(|s| s.expose().to_owned());
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO upstream
                     (agent, server, upstream, standing, token, secret, note, told_offline, told_empty)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                agent.as_str(),
                &**server,
                enrollment.upstream.as_str(),
                enrollment.standing.as_str(),
                secret(&enrollment.token),
                secret(&enrollment.secret),
                enrollment.note,
                enrollment.told.offline,
                enrollment.told.empty,
            ])?;
        Ok(())
    }
    fn command(&mut self, row: &CommandRow) -> rusqlite::Result<()> {
        let what = serde_json::to_string(&row.what).map_err(sql::unwritable)?;
        self.transaction
            .prepare_cached(
                "INSERT INTO commands (jti, agent, who, what, issued, expires, state, reason, result, ended)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (jti) DO UPDATE SET state = ?7, reason = ?8, result = ?9, ended = ?10
                 WHERE ended IS NULL OR state = 'unknown' AND ?10 IS NOT NULL",
            )?
            .execute(params![
                row.jti,
                row.agent.as_str(),
                row.who,
                what,
                row.issued,
                row.expires,
                row.state.as_str(),
                row.reason,
                row.result,
                row.ended,
            ])?;
        Ok(())
    }
}
