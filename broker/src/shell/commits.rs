//! What is on its way into the store: one transaction at a time, while the next one collects. A message is
//! acknowledged when the transaction that holds its effect is durable, and not before. While transactions
//! fail, the same one is tried again, and nothing new is taken.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use radar_link::mqtt::AckToken;
use radar_link::pacing::Pacer;
use radar_link::tasks::Owned;
use radar_wire::topic::AgentId;

use crate::store::rows::{CommandRow, UpstreamRow, Write};
use crate::store::{CommitError, Committed, Store};

/// The waits between attempts of a transaction that fails.
const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(15);

/// The transactions under way.
#[derive(Debug)]
pub(super) struct Commits {
    store: Store,
    collecting: Batch,
    current: Option<Current>,
    pacer: Pacer,
    failing: Option<String>,
}

#[derive(Debug, Default)]
struct Batch {
    tokens: Vec<AckToken>,
    accounts: BTreeMap<AgentId, UpstreamRow>,
    commands: BTreeMap<Box<str>, CommandRow>,
}

#[derive(Debug)]
struct Current {
    writes: Arc<[Write]>,
    tokens: Vec<AckToken>,
    accounts: Vec<AgentId>,
    commands: Vec<Box<str>>,
    attempt: Attempt,
}

#[derive(Debug)]
enum Attempt {
    Flying(Owned<Result<Committed, CommitError>>, Duration),
    Waiting(Duration),
}

/// A transaction that is durable.
#[derive(Debug)]
pub(super) struct Durable {
    /// The messages to acknowledge, in the order of arrival.
    pub tokens: Vec<AckToken>,
    /// The agents whose accounts at the server are stored.
    pub accounts: Vec<AgentId>,
    /// The commands that are stored.
    pub commands: Vec<Box<str>>,
    /// What the store says of it, and how long it took; none when there was nothing to write.
    pub committed: Option<(Committed, Duration)>,
}

impl Commits {
    pub(super) fn new(store: Store) -> Self {
        Self { store, collecting: Batch::default(), current: None, pacer: Pacer::new(FIRST, MOST), failing: None }
    }

    /// A message that is to be acknowledged with the next transaction.
    pub(super) fn acknowledge(&mut self, token: AckToken) {
        self.collecting.tokens.push(token);
    }

    /// An account at the server that is to be stored with the next transaction.
    pub(super) fn account(&mut self, row: UpstreamRow) {
        self.collecting.accounts.insert(row.agent.clone(), row);
    }

    /// A command that is to be stored with the next transaction.
    pub(super) fn command(&mut self, row: CommandRow) {
        self.collecting.commands.insert(row.jti.clone(), row);
    }

    /// The commands that are not stored yet as they are, each as it is first.
    pub(super) fn unstored(&self) -> impl Iterator<Item = &CommandRow> {
        let under_way = self.current.iter().flat_map(|current| current.writes.iter());
        let under_way = under_way.filter_map(|write| match write {
            Write::Command(row) => Some(&**row),
            _ => None,
        });
        self.collecting.commands.values().chain(under_way)
    }

    /// The agent was purged: what is not on its way is not to be stored.
    pub(super) fn forget(&mut self, agent: &AgentId) {
        self.collecting.accounts.remove(agent);
    }

    /// Whether a transaction is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// Messages that are not acknowledged yet.
    pub(super) fn depth(&self) -> usize {
        self.collecting.tokens.len() + self.current.as_ref().map_or(0, |current| current.tokens.len())
    }

    /// Why the store takes nothing; none when it does.
    pub(super) fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    /// Starts the next transaction with what was collected and these writes. Not while one is under way.
    /// Without anything to write, what was collected is done.
    pub(super) fn start(&mut self, mut writes: Vec<Write>, now: Duration) -> Option<Durable> {
        let batch = mem::take(&mut self.collecting);
        let accounts = batch.accounts.keys().cloned().collect();
        let commands = batch.commands.keys().cloned().collect();
        writes.extend(batch.accounts.into_values().map(|row| Write::Upstream(Box::new(row))));
        writes.extend(batch.commands.into_values().map(|row| Write::Command(Box::new(row))));
        if writes.is_empty() {
            let durable = Durable { tokens: batch.tokens, accounts, commands, committed: None };
            return (!durable.tokens.is_empty()).then_some(durable);
        }
        let writes: Arc<[Write]> = writes.into();
        let attempt = self.attempt(&writes, now);
        self.current = Some(Current { writes, tokens: batch.tokens, accounts, commands, attempt });
        None
    }

    /// Waits for the end of the attempt under way, for ever when there is none. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Result<Committed, CommitError> {
        match &mut self.current {
            Some(Current { attempt: Attempt::Flying(task, _), .. }) => task.value().await,
            _ => std::future::pending().await,
        }
    }

    /// What [`ended`](Self::ended) has returned. A failure that is new comes back as its text.
    pub(super) fn handle_ended(
        &mut self,
        result: Result<Committed, CommitError>,
        now: Duration,
    ) -> Result<Option<Durable>, String> {
        match result {
            Ok(committed) => {
                self.failing = None;
                self.pacer.reset();
                Ok(self.current.take().map(|Current { tokens, mut accounts, commands, attempt, .. }| {
                    // What was stored of an account is old when something newer waits.
                    accounts.retain(|agent| !self.collecting.accounts.contains_key(agent));
                    let started = match attempt {
                        Attempt::Flying(_, at) | Attempt::Waiting(at) => at,
                    };
                    Durable { tokens, accounts, commands, committed: Some((committed, now.saturating_sub(started))) }
                }))
            }
            Err(error) => {
                let wait = self.pacer.next_wait();
                if let Some(current) = &mut self.current {
                    current.attempt = Attempt::Waiting(now + wait);
                }
                let text = error.to_string();
                let known = self.failing.replace(text.clone());
                if known.as_ref() == Some(&text) { Ok(None) } else { Err(text) }
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match &self.current {
            Some(Current { attempt: Attempt::Waiting(until), .. }) => Some(*until),
            _ => None,
        }
    }

    /// Tries a transaction again whose wait is over.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_some_and(|until| until <= now)
            && let Some(mut current) = self.current.take()
        {
            current.attempt = self.attempt(&current.writes, now);
            self.current = Some(current);
        }
    }

    fn attempt(&self, writes: &Arc<[Write]>, now: Duration) -> Attempt {
        let (store, writes) = (self.store.clone(), Arc::clone(writes));
        Attempt::Flying(Owned::spawn(async move { store.commit(writes).await }), now)
    }
}

#[cfg(test)]
mod tests;
