//! The double's database, its settings, and what is recorded of the calls.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::tokens::{Tokens, pseudo_random};
use super::{AgentView, ContainerView, Fault, Recorded};

/// So many calls are kept.
const RECORDED: usize = 50_000;

/// A row of the table of agents, with what hangs on it.
#[derive(Debug, Clone, Default)]
pub(super) struct AgentRow {
    pub(super) name: String,
    pub(super) tags: Vec<String>,
    pub(super) status: String,
    pub(super) last_seen: Option<Duration>,
    pub(super) enroll: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) containers: BTreeMap<String, ContainerView>,
}

pub(super) type Agents = BTreeMap<String, AgentRow>;

#[derive(Debug)]
pub(super) struct State {
    pub(super) prefix: String,
    pub(super) agents: Agents,
    pub(super) tokens: Tokens,
    /// Differs for every life of every double.
    seed: u64,
    made: u64,
    pub(super) interval: f64,
    pub(super) token_lifetime: Duration,
    pub(super) beat_cost: (Duration, Duration),
    pub(super) one_time_tokens: bool,
    /// Name, password, and whether the password was never changed.
    pub(super) user: (String, String, bool),
    pub(super) faults: BTreeMap<String, Fault>,
    /// The one connection has a transaction open.
    pub(super) in_transaction: bool,
    /// The transaction that stays open, why, and what was committed before it.
    pub(super) wedged: Option<(String, Agents)>,
    pub(super) killed: Option<String>,
    pub(super) recorded: BTreeMap<u64, Recorded>,
    calls: u64,
    working: usize,
    pub(super) high_water: usize,
}

impl State {
    pub(super) fn new(prefix: &str, seed: u64) -> Self {
        Self {
            prefix: prefix.trim_end_matches('/').to_owned(),
            agents: BTreeMap::new(),
            tokens: Tokens::default(),
            seed: seed << 32,
            made: 0,
            interval: 120.0,
            token_lifetime: Duration::from_secs(900),
            beat_cost: (Duration::from_millis(6), Duration::from_micros(130)),
            one_time_tokens: false,
            user: ("admin".to_owned(), "secret".to_owned(), false),
            faults: BTreeMap::new(),
            in_transaction: false,
            wedged: None,
            killed: None,
            recorded: BTreeMap::new(),
            calls: 0,
            working: 0,
            high_water: 0,
        }
    }

    /// A new process: new keys, a new connection to the database, what was never committed rolled back.
    pub(super) fn begin_life(&mut self) {
        self.seed += 1;
        self.tokens = Tokens::default();
        self.in_transaction = false;
        self.killed = None;
        self.working = 0;
        if let Some((_, committed)) = self.wedged.take() {
            self.agents = committed;
        }
    }

    pub(super) fn wedge(&mut self, reason: &str) {
        let committed = self.agents.clone();
        self.wedged.get_or_insert_with(|| (reason.to_owned(), committed));
    }

    pub(super) fn create_agent(&mut self, name: &str, tags: Vec<String>) -> (String, String) {
        let hex = self.random_hex(16);
        let id = format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]);
        let token = self.random_hex(32);
        let row = AgentRow {
            name: name.to_owned(),
            tags,
            status: "offline".to_owned(),
            enroll: Some(token.clone()),
            ..AgentRow::default()
        };
        self.agents.insert(id.clone(), row);
        (id, token)
    }

    /// Digits that look random, `bytes` twice.
    pub(super) fn random_hex(&mut self, bytes: usize) -> String {
        self.made += 1;
        let mut text = String::new();
        for byte in pseudo_random(&(self.seed, self.made), bytes) {
            // Writing into a text cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    pub(super) fn issue(
        &mut self,
        subject: &str,
        kind: &str,
        lifetime: Duration,
        now: radar_link::time::Now,
    ) -> String {
        self.tokens.issue(subject, kind, lifetime, now.mono, now.wall, self.seed)
    }

    pub(super) fn views(&self) -> impl Iterator<Item = AgentView> {
        self.agents.iter().map(|(id, row)| {
            let (running, stopped) = row.containers.values().cloned().partition(|each| each.status == "running");
            AgentView {
                id: id.clone(),
                name: row.name.clone(),
                tags: row.tags.clone(),
                status: row.status.clone(),
                running,
                stopped,
                last_seen: row.last_seen,
            }
        })
    }

    /// The fault that a path meets: that of the longest path that it begins with.
    pub(super) fn fault_at(&self, path: &str) -> Option<Fault> {
        let met = self.faults.iter().filter(|(begin, _)| path.starts_with(begin.as_str()));
        met.max_by_key(|(begin, _)| begin.len()).map(|(_, fault)| *fault)
    }

    /// A call has come.
    pub(super) fn begin_call(&mut self, call: Recorded) -> u64 {
        self.calls += 1;
        self.working += 1;
        self.high_water = self.high_water.max(self.working);
        self.recorded.insert(self.calls, call);
        if self.recorded.len() > RECORDED {
            self.recorded.pop_first();
        }
        self.calls
    }

    /// A call was answered.
    pub(super) fn end_call(&mut self, call: u64, status: u16) {
        self.working = self.working.saturating_sub(1);
        if let Some(recorded) = self.recorded.get_mut(&call) {
            recorded.status = status;
        }
    }
}
