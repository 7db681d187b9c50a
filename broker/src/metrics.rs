//! What is counted and measured, in the form that Prometheus reads. The shell owns it; numbers
//! that a core keeps are copied at the moment of a scrape, so each has one owner.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::commanding::State;

/// All metrics of the bridge.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    agents: Gauge,
    agents_online: Gauge,
    engines_unreachable: Gauge,
    conflicts: Gauge,
    agents_refused: Counter,
    stored: Counter,
    duplicates: Counter,
    gaps: Counter,
    lost: Counter,
    missing: Gauge,
    decode_errors: Family<Channel, Counter>,
    foreign: Counter,
    connected: Gauge,
    connections: Counter,
    store_up: Gauge,
    commits: Histogram,
    commit_failures: Counter,
    queues: Family<Queue, Gauge>,
    commands: Family<Ended, Counter>,
    api: ApiMetrics,
    upstream_up: Gauge,
    last_beats: Family<Agent, Gauge<f64, AtomicU64>>,
    relayed: Family<Agent, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Channel {
    channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    status: &'static str,
}

/// What is counted where the HTTP API is answered.
#[derive(Debug, Clone)]
pub(crate) struct ApiMetrics {
    requests: Family<Answered, Counter>,
    streams: Gauge,
}

impl ApiMetrics {
    /// The classes of statuses.
    const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

    fn new() -> Self {
        let all = Self { requests: Family::default(), streams: Gauge::default() };
        for status in &Self::CLASSES[1..] {
            drop(all.requests.get_or_create(&Answered { status }));
        }
        all
    }

    /// A request was answered with this status.
    pub(crate) fn answered(&self, status: u16) {
        if let Some(status) = Self::CLASSES.get(usize::from(status / 100).wrapping_sub(1)) {
            self.requests.get_or_create(&Answered { status }).inc();
        }
    }

    /// A stream began.
    pub(crate) fn stream_opened(&self) {
        self.streams.inc();
    }

    /// A stream has ended.
    pub(crate) fn stream_closed(&self) {
        self.streams.dec();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Agent {
    agent: String,
}

/// What the cores know at the moment of a scrape.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Agents that are known.
    pub agents: usize,
    /// Agents that are there.
    pub online: usize,
    /// Agents that are there and whose engine does not answer.
    pub unreachable: usize,
    /// Ids that two machines use.
    pub conflicts: usize,
    /// Agents turned away because there are too many.
    pub refused: u64,
    /// Gaps of unknown size.
    pub gaps: u64,
    /// Events that gaps stand for.
    pub lost: u64,
    /// Events that agents are asked for.
    pub missing: u64,
    /// Payloads that did not decode, by channel.
    pub decode_errors: BTreeMap<&'static str, u64>,
    /// Whether the broker is there, with all subscriptions.
    pub connected: bool,
    /// Whether the last commit succeeded.
    pub store_ok: bool,
    /// What waits, by queue.
    pub queues: Vec<(&'static str, usize)>,
    /// Whether the server takes heartbeats; none without an upstream.
    pub upstream: Option<bool>,
    /// The relay of each agent.
    pub relays: Vec<RelayReading>,
}

/// The relay of one agent.
#[derive(Debug)]
pub(crate) struct RelayReading {
    /// The agent.
    pub agent: String,
    /// Whether the server has what is known of it.
    pub relayed: bool,
    /// When the server last took a heartbeat, in milliseconds since 1970.
    pub last_beat: Option<i64>,
}

impl Metrics {
    /// Of a server there is nothing in it when there is no `upstream`.
    pub(crate) fn new(upstream: bool) -> Self {
        // From a memory-speed commit to a disk that hangs.
        const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
        let mut metrics = Self {
            registry: Registry::with_prefix("radar"),
            agents: Gauge::default(),
            agents_online: Gauge::default(),
            engines_unreachable: Gauge::default(),
            conflicts: Gauge::default(),
            agents_refused: Counter::default(),
            stored: Counter::default(),
            duplicates: Counter::default(),
            gaps: Counter::default(),
            lost: Counter::default(),
            missing: Gauge::default(),
            decode_errors: Family::default(),
            foreign: Counter::default(),
            connected: Gauge::default(),
            connections: Counter::default(),
            store_up: Gauge::default(),
            commits: Histogram::new(BUCKETS),
            commit_failures: Counter::default(),
            queues: Family::default(),
            commands: Family::default(),
            api: ApiMetrics::new(),
            upstream_up: Gauge::default(),
            last_beats: Family::default(),
            relayed: Family::default(),
        };
        metrics.register();
        for state in State::ENDS {
            drop(metrics.commands.get_or_create(&Ended { state: state.as_str() }));
        }
        if upstream {
            metrics.register_upstream();
        }
        metrics
    }

    fn register(&mut self) {
        let build = Info::new(vec![("version", crate::VERSION), ("commit", crate::COMMIT.unwrap_or("unknown"))]);
        let all = &mut self.registry;
        all.register("build", "The program", build);
        all.register("agents", "Agents that are known", self.agents.clone());
        all.register("agents_online", "Agents that are there", self.agents_online.clone());
        all.register(
            "engines_unreachable",
            "Agents that are there and whose container engine does not answer",
            self.engines_unreachable.clone(),
        );
        all.register("agent_conflicts", "Agent ids that two machines use", self.conflicts.clone());
        all.register("agents_refused", "Messages of agents beyond BRIDGE_MAX_AGENTS", self.agents_refused.clone());
        all.register("events_stored", "Events stored since the start", self.stored.clone());
        all.register("events_duplicate", "Events that came again, since the start", self.duplicates.clone());
        all.register("gaps", "Gaps of unknown size in the history", self.gaps.clone());
        all.register("events_lost", "Events that gaps of known size stand for", self.lost.clone());
        all.register("events_missing", "Events that agents are asked for", self.missing.clone());
        all.register("decode_errors", "Payloads that do not fit the contract", self.decode_errors.clone());
        all.register("foreign_messages", "Messages on topics that are none of the contract", self.foreign.clone());
        all.register("broker_connected", "Whether the broker is there, with all subscriptions", self.connected.clone());
        all.register("broker_connections", "Connections to the broker since the start", self.connections.clone());
        all.register("store_up", "Whether the last commit succeeded", self.store_up.clone());
        all.register_with_unit("store_commit", "Time of a commit", Unit::Seconds, self.commits.clone());
        all.register("store_commit_failures", "Commits that failed since the start", self.commit_failures.clone());
        all.register("commands", "Commands that have ended since the start", self.commands.clone());
        all.register("api_requests", "Requests to the HTTP API since the start", self.api.requests.clone());
        all.register("api_streams", "Streams that are open at the HTTP API", self.api.streams.clone());
        all.register("queue_depth", "What waits", self.queues.clone());
    }

    fn register_upstream(&mut self) {
        let all = &mut self.registry;
        all.register("upstream_up", "Whether the server takes heartbeats", self.upstream_up.clone());
        all.register_with_unit(
            "upstream_last_beat_timestamp",
            "When the server last took a heartbeat of the agent",
            Unit::Seconds,
            self.last_beats.clone(),
        );
        all.register("upstream_relayed", "Whether the relay of the agent works", self.relayed.clone());
    }

    /// A commit has succeeded.
    pub(crate) fn committed(&self, stored: u64, duplicates: u64, took: Duration) {
        self.stored.inc_by(stored);
        self.duplicates.inc_by(duplicates);
        self.commits.observe(took.as_secs_f64());
    }

    /// Events came again.
    pub(crate) fn repeated(&self, events: u64) {
        self.duplicates.inc_by(events);
    }

    /// A commit has failed.
    pub(crate) fn commit_failed(&self) {
        self.commit_failures.inc();
    }

    /// A command has ended.
    pub(crate) fn commanded(&self, state: State) {
        self.commands.get_or_create(&Ended { state: state.as_str() }).inc();
    }

    /// What is counted of the HTTP API.
    pub(crate) fn api(&self) -> ApiMetrics {
        self.api.clone()
    }

    /// A connection to the broker stands.
    pub(crate) fn connected(&self) {
        self.connections.inc();
    }

    /// A message came on a topic that is none of the contract.
    pub(crate) fn foreign(&self) {
        self.foreign.inc();
    }

    /// All of it in the text form of OpenMetrics.
    ///
    /// # Errors
    /// Never in practice: a text takes everything.
    pub(crate) fn text(&self, reading: &Reading) -> Result<String, fmt::Error> {
        self.agents.set(whole(reading.agents));
        self.agents_online.set(whole(reading.online));
        self.engines_unreachable.set(whole(reading.unreachable));
        self.conflicts.set(whole(reading.conflicts));
        copy(&self.agents_refused, reading.refused);
        copy(&self.gaps, reading.gaps);
        copy(&self.lost, reading.lost);
        self.missing.set(i64::try_from(reading.missing).unwrap_or(i64::MAX));
        for (channel, count) in &reading.decode_errors {
            copy(&self.decode_errors.get_or_create(&Channel { channel }), *count);
        }
        self.connected.set(reading.connected.into());
        self.store_up.set(reading.store_ok.into());
        for (queue, depth) in &reading.queues {
            self.queues.get_or_create(&Queue { queue }).set(whole(*depth));
        }
        self.upstream_up.set(reading.upstream.unwrap_or(false).into());
        // Agents that were purged must not stay.
        self.last_beats.clear();
        self.relayed.clear();
        for relay in &reading.relays {
            let agent = Agent { agent: relay.agent.clone() };
            if let Some(at) = relay.last_beat {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit")]
                self.last_beats.get_or_create(&agent).set(at as f64 / 1000.0);
            }
            self.relayed.get_or_create(&agent).set(relay.relayed.into());
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A counter that is kept elsewhere.
fn copy(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_in_the_text_with_what_was_read() {
        let metrics = Metrics::new(true);
        metrics.committed(7, 1, Duration::from_millis(3));
        metrics.repeated(1);
        metrics.foreign();
        metrics.commanded(State::Refused);
        metrics.api().answered(404);
        metrics.api().stream_opened();
        let relay = |agent: &str, last_beat| RelayReading { agent: agent.to_owned(), relayed: true, last_beat };
        let mut reading = Reading {
            agents: 3,
            online: 2,
            gaps: 1,
            lost: 40,
            missing: 5,
            decode_errors: BTreeMap::from([("event", 4)]),
            connected: true,
            queues: vec![("batch", 6)],
            upstream: Some(true),
            relays: vec![relay("pi-kitchen", Some(1_795_228_544_250)), relay("pi-old", None)],
            ..Reading::default()
        };
        let text = metrics.text(&reading).unwrap();
        for line in [
            "radar_build_info{version=",
            "radar_agents 3\n",
            "radar_agents_online 2\n",
            "radar_events_stored_total 7\n",
            "radar_events_duplicate_total 2\n",
            "radar_gaps_total 1\n",
            "radar_events_lost_total 40\n",
            "radar_events_missing 5\n",
            "radar_decode_errors_total{channel=\"event\"} 4\n",
            "radar_foreign_messages_total 1\n",
            "radar_broker_connected 1\n",
            "radar_store_up 0\n",
            "radar_store_commit_seconds_bucket{le=\"0.005\"} 1\n",
            "radar_queue_depth{queue=\"batch\"} 6\n",
            "radar_commands_total{state=\"succeeded\"} 0\n",
            "radar_commands_total{state=\"refused\"} 1\n",
            "radar_api_requests_total{status=\"2xx\"} 0\n",
            "radar_api_requests_total{status=\"4xx\"} 1\n",
            "radar_api_streams 1\n",
            "radar_upstream_up 1\n",
            "radar_upstream_last_beat_timestamp_seconds{agent=\"pi-kitchen\"} 1795228544.25\n",
            "radar_upstream_relayed{agent=\"pi-old\"} 1\n",
        ] {
            assert!(text.contains(&format!("\n{line}")), "{line}{text}");
        }
        assert!(text.ends_with("# EOF\n"));

        reading.relays.clear();
        assert!(!metrics.text(&reading).unwrap().contains("pi-old"));
        assert!(!Metrics::new(false).text(&reading).unwrap().contains("upstream"));
    }
}
