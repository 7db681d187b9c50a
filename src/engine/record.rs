//! From the engine's answers to the contract's record. Never the environment. Lists and texts are
//! bounded, so that one odd container cannot make an event too large to be sent.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, EndpointSettings, HealthStatusEnum, MountPoint, PortBinding,
};
use radar_wire::container::{ContainerId, Health, Mount, Network, Port, Record, State};

use super::images::Resolved;
use super::moment;
use super::notice::Listed;

const MOST_PORTS: usize = 128;
const MOST_NETWORKS: usize = 32;
const MOST_MOUNTS: usize = 48;
const MOST_LABELS: usize = 32;
const LONGEST_NAME: usize = 128;
const LONGEST_TEXT: usize = 256;

/// Which labels are shown.
#[derive(Debug, Clone)]
pub(super) struct Labels(Vec<String>);

impl Labels {
    /// The usual ones, and these: names, or prefixes that end with `*`.
    pub(super) fn new(more: &[String]) -> Self {
        let usual = ["org.opencontainers.image.*", "radar.*"].map(str::to_owned);
        Self(usual.into_iter().chain(more.iter().filter(|label| !label.is_empty()).cloned()).collect())
    }

    pub(super) fn shown(&self, label: &str) -> bool {
        self.0.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(prefix) => label.starts_with(prefix),
            None => label == wanted,
        })
    }

    fn select(&self, all: &HashMap<String, String>) -> BTreeMap<Box<str>, Box<str>> {
        let mut shown: Vec<_> =
            all.iter().filter(|(label, _)| label.len() <= LONGEST_NAME && self.shown(label)).collect();
        // Those of our own, which protect the container, are not the ones that are cut off.
        shown.sort_unstable_by_key(|(label, _)| (!label.starts_with("radar."), *label));
        shown.into_iter().take(MOST_LABELS).map(|(label, value)| (label.as_str().into(), cut(value))).collect()
    }
}

/// The image's id and the name that the container's maker gave, from which its image is resolved.
pub(super) fn image_of(answer: &ContainerInspectResponse) -> (&str, &str) {
    let configured = answer.config.as_ref().and_then(|config| config.image.as_deref()).unwrap_or_default();
    (answer.image.as_deref().unwrap_or_default(), configured)
}

/// The record of an inspected container.
pub(super) fn inspected(id: ContainerId, answer: ContainerInspectResponse, image: Resolved, labels: &Labels) -> Record {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let settings = answer.network_settings.unwrap_or_default();
    let all_labels = config.labels.unwrap_or_default();
    let moment = |text: Option<String>| text.as_deref().and_then(moment::milliseconds);
    let word = State::from(state.status.map(|status| status.to_string()).unwrap_or_default());
    let started = moment(state.started_at);
    let ended = started.is_some() && !matches!(word, State::Running | State::Paused | State::Created);
    let policy = answer.host_config.and_then(|host| host.restart_policy?.name).map(|name| name.to_string());
    Record {
        id,
        name: cut(answer.name.as_deref().unwrap_or_default().trim_start_matches('/')),
        image: cut(&image.image),
        tag: cut(&image.tag),
        digest: image.digest.as_deref().map(cut),
        image_id: answer.image.as_deref().filter(|id| !id.is_empty()).map(cut),
        health: state.health.and_then(|health| health_of(health.status?)),
        exit_code: state.exit_code.filter(|_| ended),
        state: word,
        created: moment(answer.created),
        started,
        finished: moment(state.finished_at),
        restarts: answer.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
        restart_policy: policy.map(|name| if name.is_empty() { "no".into() } else { name.into() }),
        ports: ports(settings.ports.unwrap_or_default(), config.exposed_ports.unwrap_or_default()),
        networks: networks(settings.networks.unwrap_or_default()),
        mounts: mounts(answer.mounts.unwrap_or_default()),
        project: all_labels.get("com.docker.compose.project").map(|name| cut(name)),
        service: all_labels.get("com.docker.compose.service").map(|name| cut(name)),
        labels: labels.select(&all_labels),
    }
}

/// An entry of the engine's list; `None` for one without an id.
pub(super) fn listed(entry: ContainerSummary, labels: &Labels) -> Option<Listed> {
    let id: ContainerId = entry.id?.parse().ok()?;
    // A container that others link to has further names, with a slash in them.
    let names = entry.names.unwrap_or_default();
    let mut names = names.iter().map(|name| name.trim_start_matches('/'));
    let name = names.find(|name| !name.contains('/')).unwrap_or_default();
    let all_labels = entry.labels.unwrap_or_default();
    let image_id = entry.image_id.unwrap_or_default();
    let image = super::images::resolve(entry.image.as_deref().unwrap_or_default(), &image_id, None);
    let ports = entry.ports.unwrap_or_default().into_iter().map(|port| Port {
        private: port.private_port,
        public: port.public_port,
        ip: port.ip.filter(|ip| !ip.is_empty()).map(Into::into),
        protocol: port.typ.map(|typ| typ.to_string()).unwrap_or_default().into(),
    });
    let record = Record {
        id,
        name: cut(name),
        image: cut(&image.image),
        tag: cut(&image.tag),
        digest: image.digest.as_deref().map(cut),
        image_id: (!image_id.is_empty()).then(|| cut(&image_id)),
        state: entry.state.map(|state| state.to_string()).unwrap_or_default().into(),
        health: entry.status.as_deref().and_then(health_in),
        exit_code: None,
        created: entry.created.and_then(|seconds| seconds.checked_mul(1000)),
        started: None,
        finished: None,
        restarts: 0,
        restart_policy: None,
        ports: bounded(ports.collect(), MOST_PORTS),
        networks: networks(entry.network_settings.and_then(|settings| settings.networks).unwrap_or_default()),
        mounts: mounts(entry.mounts.unwrap_or_default()),
        project: all_labels.get("com.docker.compose.project").map(|name| cut(name)),
        service: all_labels.get("com.docker.compose.service").map(|name| cut(name)),
        labels: labels.select(&all_labels),
    };
    Some(Listed { record })
}

fn health_of(status: HealthStatusEnum) -> Option<Health> {
    match status {
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => None,
        status => Some(status.to_string().into()),
    }
}

/// A list tells health only as a part of its text for people: `Up 5 minutes (healthy)`.
fn health_in(status: &str) -> Option<Health> {
    let (_, word) = status.strip_suffix(')')?.rsplit_once('(')?;
    match word {
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        "health: starting" => Some(Health::Starting),
        _ => None,
    }
}

/// Published ports, each with every address that it is bound to, and those that are only exposed.
fn ports(bound: HashMap<String, Option<Vec<PortBinding>>>, exposed: Vec<String>) -> Vec<Port> {
    let mut found = Vec::new();
    for (key, bindings) in &bound {
        let Some((private, protocol)) = port_key(key) else {
            continue;
        };
        let outside = |binding: &PortBinding| Port {
            private,
            public: binding.host_port.as_deref().and_then(|port| port.parse().ok()),
            ip: binding.host_ip.as_deref().filter(|ip| !ip.is_empty()).map(Into::into),
            protocol: protocol.into(),
        };
        match bindings.as_deref() {
            None | Some([]) => found.push(Port { private, public: None, ip: None, protocol: protocol.into() }),
            Some(bindings) => found.extend(bindings.iter().map(outside)),
        }
    }
    for key in exposed.iter().filter(|key| !bound.contains_key(*key)) {
        let Some((private, protocol)) = port_key(key) else {
            continue;
        };
        found.push(Port { private, public: None, ip: None, protocol: protocol.into() });
    }
    bounded(found, MOST_PORTS)
}

/// `80/tcp`; without a protocol it is TCP.
fn port_key(key: &str) -> Option<(u16, &str)> {
    let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    Some((port.parse().ok()?, protocol))
}

fn networks(all: HashMap<String, EndpointSettings>) -> Vec<Network> {
    let network = |(name, endpoint): (String, EndpointSettings)| {
        let addresses = [endpoint.ip_address, endpoint.global_ipv6_address];
        let ip = addresses.into_iter().flatten().find(|ip| !ip.is_empty());
        Network { name: cut_to(&name, LONGEST_NAME), ip: ip.as_deref().map(cut) }
    };
    bounded(all.into_iter().map(network).collect(), MOST_NETWORKS)
}

fn mounts(all: Vec<MountPoint>) -> Vec<Mount> {
    let mount = |point: MountPoint| {
        let named = point.name.filter(|name| !name.is_empty());
        let source = named.or(point.source).filter(|source| !source.is_empty());
        Some(Mount {
            target: cut(&point.destination?),
            source: source.as_deref().map(cut),
            mode: if point.rw == Some(false) { "ro" } else { "rw" }.into(),
        })
    };
    bounded(all.into_iter().filter_map(mount).collect(), MOST_MOUNTS)
}

fn bounded<T: Ord>(mut all: Vec<T>, most: usize) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    all.truncate(most);
    all
}

fn cut(text: &str) -> Box<str> {
    cut_to(text, LONGEST_TEXT)
}

/// The text, or as much of it as fits with a mark that it is cut.
pub(super) fn cut_to(text: &str, most: usize) -> Box<str> {
    if text.len() <= most {
        return text.into();
    }
    let end = text.floor_char_boundary(most - '…'.len_utf8());
    format!("{}…", &text[..end]).into()
}

#[cfg(test)]
mod tests;
