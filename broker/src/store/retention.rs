//! How history ends: events go when they are too old or too many, and commands when they are too old, in slices so
//! small that nothing waits for them.

use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior};

use super::batch::Memory;
use super::{Keep, Tidied, sql};

/// Events that go in one transaction.
const SLICE: i64 = 2000;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Deletes one slice. On an error the memory is void.
pub(super) fn tidy(
    connection: &mut Connection,
    memory: &mut Memory,
    keep: Keep,
    wall: i64,
) -> rusqlite::Result<Tidied> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let before = wall.saturating_mul(1000).saturating_sub(i64::from(keep.days).saturating_mul(DAY));
    let mut deleted = delete(&transaction, memory, "arrival < ?1 ORDER BY arrival LIMIT ?2", [before, SLICE])?;
    if deleted < SLICE {
        let over = memory.events() - sql::integer(keep.events);
        deleted += delete_over(&transaction, memory, over, "1 ORDER BY arrival LIMIT ?1", &[])?;
    }
    let most = sql::integer(keep.events_per_agent);
    let over = memory.agents.values().find(|place| place.events > most).copied();
    if let Some(place) = over.filter(|_| deleted < SLICE) {
        let which = "agent = ?2 ORDER BY epoch, seq LIMIT ?1";
        deleted += delete_over(&transaction, memory, place.events - most, which, &[&place.key])?;
    }
    let commands = transaction
        .prepare_cached("DELETE FROM commands WHERE jti IN (SELECT jti FROM commands WHERE issued < ?1 LIMIT ?2)")?
        .execute([before / 1000, SLICE])?;
    transaction.commit()?;
    let more =
        deleted >= SLICE || commands >= SLICE as usize || memory.agents.values().any(|place| place.events > most);
    Ok(Tidied { deleted: deleted.unsigned_abs(), more })
}

fn delete_over(
    transaction: &Transaction<'_>,
    memory: &mut Memory,
    over: i64,
    which: &str,
    more: &[&dyn ToSql],
) -> rusqlite::Result<i64> {
    if over <= 0 {
        return Ok(0);
    }
    let limit = over.min(SLICE);
    let parameters: Vec<&dyn ToSql> = std::iter::once(&limit as &dyn ToSql).chain(more.iter().copied()).collect();
    delete(transaction, memory, which, &*parameters)
}

fn delete(
    transaction: &Transaction<'_>,
    memory: &mut Memory,
    which: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<i64> {
    let mut gone = std::collections::BTreeMap::<i64, i64>::new();
    let mut statement = transaction.prepare_cached(&format!(
        "DELETE FROM events WHERE arrival IN (SELECT arrival FROM events WHERE {which}) RETURNING agent"
    ))?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        *gone.entry(row.get(0)?).or_default() += 1;
    }
    let mut count = transaction.prepare_cached("UPDATE agents SET events = events - ?2 WHERE key = ?1")?;
    for (key, events) in &gone {
        count.execute([key, events])?;
    }
    for place in memory.agents.values_mut().filter(|_| !gone.is_empty()) {
        place.events -= gone.get(&place.key).copied().unwrap_or(0);
    }
    Ok(gone.values().sum())
}
