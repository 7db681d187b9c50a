//! What an agent begins with, from its settings and its host: the way to the engine, the session at the broker, and what
//! the core is told once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use radar_link::mqtt::{Message, Qos, Session, Will, Wills};
use radar_link::time::Clock;
use radar_wire::codec::{self, MAX_PACKED};
use radar_wire::status::AgentFacts;
use radar_wire::topic::{AgentId, Channel};

use super::RunError;
use crate::agent::commands::Rules;
use crate::agent::outbox::Bounds;
use crate::agent::presence::Abilities;
use crate::agent::{Config, presence};
use crate::engine;
use crate::health::{self, Listener};
use crate::identity::Machine;
use crate::registries::Registries;
use crate::settings::Settings;

/// How long the broker keeps the session, and how long it waits with the last will.
const SESSION_EXPIRY: Duration = Duration::from_secs(60);
const WILL_DELAY: Duration = Duration::from_secs(3);

pub(crate) fn engine_settings(settings: &Settings) -> Result<engine::Settings, RunError> {
    let environment = engine::Environment {
        host: settings.agent.docker_host.clone(),
        cert_path: settings.agent.docker_cert_path.clone(),
        tls_verify: settings.agent.docker_tls_verify.is_some(),
        runtime_dir: settings.runtime_dir.clone(),
    };
    let address = engine::Address::parse(environment).map_err(RunError::Engine)?;
    let labels = settings.agent.agent_labels.0.clone();
    let registries = Registries::new(settings.agent.agent_registry_config.clone());
    Ok(engine::Settings { address, labels, time_out: engine::Settings::TIME_OUT, registries, actions: Vec::new() })
}

pub(super) fn start_session(
    settings: &Settings,
    id: &AgentId,
    path: Option<&Path>,
    facts: &AgentFacts,
    abilities: &Abilities,
    clock: Clock,
) -> Result<Session, RunError> {
    let prefix = &settings.prefix;
    let mut session = settings.broker.session(prefix.client_id(id));
    session.clean_start = false;
    session.session_expiry = SESSION_EXPIRY;
    session.receive_max = 20;
    session.max_incoming_packet = u32::try_from(MAX_PACKED + 4096).unwrap_or(u32::MAX);
    // Who takes no commands needs no access to their topic.
    let command = (!abilities.allows.is_empty()).then_some(Channel::Command);
    let channels = [Channel::Status, Channel::Snapshot, Channel::Resend].into_iter().chain(command);
    session.subscriptions = channels.map(|channel| prefix.topic(id, &channel)).collect();
    session.number_file = path.map(|path| path.join("session"));
    let (topic, facts, abilities) = (prefix.topic(id, &Channel::Status), facts.clone(), abilities.clone());
    let wills: Wills = Box::new(move |number| {
        let will = codec::encode(&presence::will(&facts, &abilities, number, clock.now().wall)).ok()?;
        let message = Message {
            topic: topic.clone(),
            payload: will.bytes.into(),
            retain: true,
            qos: Qos::AtLeastOnce,
            content_type: Some(will.content_type.as_str()),
            expiry: None,
        };
        Some(Will { message, delay: WILL_DELAY })
    });
    Session::start(session, wills).map_err(RunError::Broker)
}

pub(super) fn config(
    settings: &Settings,
    id: AgentId,
    facts: AgentFacts,
    rules: Rules,
    on_disk: bool,
    warnings: Vec<String>,
) -> Config {
    let agent = &settings.agent;
    Config {
        prefix: settings.prefix.clone(),
        id,
        facts,
        enroll: agent.agent_enroll_token.clone(),
        bounds: Bounds {
            events: agent.agent_outbox_events,
            bytes: agent.agent_outbox_bytes,
            ring_events: 1000,
            ring_bytes: 256 * 1024,
        },
        snapshot_interval: agent.agent_snapshot_interval.0,
        reconcile_interval: agent.agent_reconcile_interval.0,
        stats_interval: agent.agent_stats_interval.map(|interval| interval.0),
        on_disk,
        rules,
        warnings: warnings.into_iter().map(Into::into).collect(),
    }
}

pub(super) fn facts(settings: &Settings, host: String, machine: &Machine) -> AgentFacts {
    let name = settings.agent.agent_name.clone().unwrap_or_else(|| host.clone());
    AgentFacts {
        version: crate::VERSION.into(),
        commit: crate::COMMIT.map(Into::into),
        arch: std::env::consts::ARCH.into(),
        os: std::env::consts::OS.into(),
        host: host.into(),
        name: name.into(),
        machine: machine.fingerprint().map(Into::into),
    }
}

pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "host".to_owned())
}

pub(super) fn moved_text(id: &AgentId, path: Option<&Path>) -> String {
    let machine: PathBuf = path.unwrap_or(Path::new("DATA_DIR")).join("machine");
    format!(
        "the id {id} was kept on another machine: if this disk is a copy, give this host another AGENT_ID; if the board was replaced, remove {}",
        machine.display()
    )
}

pub(super) fn open_listener(path: &Path) -> Option<Listener> {
    Listener::open(path)
        .inspect_err(|error| {
            tracing::warn!(
                "health checks will fail, since {} cannot be opened: {error}",
                health::socket(path).display()
            )
        })
        .ok()
}
