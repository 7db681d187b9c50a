//! From the engine's answers to the contract's record. Never the environment. Lists and texts are
//! bounded, so that one odd container cannot make an event too large to be sent.

use std::collections::BTreeMap;

use radar_wire::container::{ContainerId, Health, Mount, Network, Port, Record, State};
use serde_json::{Map, Value};

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

    fn select(&self, all: &Value) -> BTreeMap<Box<str>, Box<str>> {
        let all = map(all).filter_map(|(label, value)| Some((label.as_str(), value.as_str()?)));
        let mut shown: Vec<_> = all.filter(|(label, _)| label.len() <= LONGEST_NAME && self.shown(label)).collect();
        // Those of our own, which protect the container, are not the ones that are cut off.
        shown.sort_unstable_by_key(|(label, _)| (!label.starts_with("radar."), *label));
        shown.into_iter().take(MOST_LABELS).map(|(label, value)| (label.into(), cut(value))).collect()
    }
}

/// The image's id and the name that the container's maker gave, from which its image is resolved.
pub(super) fn image_of(answer: &Value) -> (&str, &str) {
    (answer["Image"].as_str().unwrap_or_default(), answer["Config"]["Image"].as_str().unwrap_or_default())
}

/// The record of an inspected container.
pub(super) fn inspected(id: ContainerId, answer: &Value, image: Resolved, labels: &Labels) -> Record {
    let (state, config, settings) = (&answer["State"], &answer["Config"], &answer["NetworkSettings"]);
    let moment = |time: &Value| time.as_str().and_then(moment::milliseconds);
    let now = State::from(word(&state["Status"]));
    let started = moment(&state["StartedAt"]);
    let ended = started.is_some() && !matches!(now, State::Running | State::Paused | State::Created);
    let policy = answer["HostConfig"]["RestartPolicy"]["Name"].as_str();
    Record {
        id,
        name: cut(answer["Name"].as_str().unwrap_or_default().trim_start_matches('/')),
        image: cut(&image.image),
        tag: cut(&image.tag),
        digest: image.digest.as_deref().map(cut),
        image_id: text(&answer["Image"]).map(cut),
        health: Some(word(&state["Health"]["Status"]))
            .filter(|word| !matches!(word.as_str(), "" | "none"))
            .map(Into::into),
        exit_code: state["ExitCode"].as_i64().filter(|_| ended),
        state: now,
        created: moment(&answer["Created"]),
        started,
        finished: moment(&state["FinishedAt"]),
        restarts: answer["RestartCount"].as_u64().unwrap_or(0),
        restart_policy: policy.map(|name| if name.is_empty() { "no".into() } else { cut(name) }),
        ports: ports(&settings["Ports"], &config["ExposedPorts"]),
        networks: networks(&settings["Networks"]),
        mounts: mounts(&answer["Mounts"]),
        project: config["Labels"]["com.docker.compose.project"].as_str().map(cut),
        service: config["Labels"]["com.docker.compose.service"].as_str().map(cut),
        labels: labels.select(&config["Labels"]),
    }
}

/// An entry of the engine's list; `None` for one without an id.
pub(super) fn listed(entry: &Value, labels: &Labels) -> Option<Listed> {
    let id: ContainerId = entry["Id"].as_str()?.parse().ok()?;
    // A container that others link to has further names, with a slash in them.
    let mut names = list(&entry["Names"]).filter_map(Value::as_str).map(|name| name.trim_start_matches('/'));
    let name = names.find(|name| !name.contains('/')).unwrap_or_default();
    let image_id = text(&entry["ImageID"]);
    let configured = entry["Image"].as_str().unwrap_or_default();
    let image = super::images::resolve(configured, image_id.unwrap_or_default(), None);
    let ports = list(&entry["Ports"]).filter_map(|port| {
        Some(Port {
            private: number(&port["PrivatePort"])?,
            public: number(&port["PublicPort"]),
            ip: text(&port["IP"]).map(Into::into),
            protocol: word(&port["Type"]).into(),
        })
    });
    let record = Record {
        id,
        name: cut(name),
        image: cut(&image.image),
        tag: cut(&image.tag),
        digest: image.digest.as_deref().map(cut),
        image_id: image_id.map(cut),
        state: word(&entry["State"]).into(),
        health: entry["Status"].as_str().and_then(health_in),
        exit_code: None,
        created: entry["Created"].as_i64().and_then(|seconds| seconds.checked_mul(1000)),
        started: None,
        finished: None,
        restarts: 0,
        restart_policy: None,
        ports: bounded(ports.collect(), MOST_PORTS),
        networks: networks(&entry["NetworkSettings"]["Networks"]),
        mounts: mounts(&entry["Mounts"]),
        project: entry["Labels"]["com.docker.compose.project"].as_str().map(cut),
        service: entry["Labels"]["com.docker.compose.service"].as_str().map(cut),
        labels: labels.select(&entry["Labels"]),
    };
    Some(Listed { record })
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
fn ports(bound: &Value, exposed: &Value) -> Vec<Port> {
    let mut found = Vec::new();
    for (key, bindings) in map(bound) {
        let Some((private, protocol)) = port_key(key) else {
            continue;
        };
        let outside = |binding: &Value| Port {
            private,
            public: binding["HostPort"].as_str().and_then(|port| port.parse().ok()),
            ip: text(&binding["HostIp"]).map(Into::into),
            protocol: protocol.into(),
        };
        match bindings.as_array().map(Vec::as_slice) {
            None | Some([]) => found.push(Port { private, public: None, ip: None, protocol: protocol.into() }),
            Some(bindings) => found.extend(bindings.iter().map(outside)),
        }
    }
    for (key, _) in map(exposed).filter(|(key, _)| bound.get(key).is_none()) {
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

fn networks(all: &Value) -> Vec<Network> {
    let network = |(name, endpoint): (&String, &Value)| {
        let ip = text(&endpoint["IPAddress"]).or_else(|| text(&endpoint["GlobalIPv6Address"]));
        Network { name: cut_to(name, LONGEST_NAME), ip: ip.map(cut) }
    };
    bounded(map(all).map(network).collect(), MOST_NETWORKS)
}

fn mounts(all: &Value) -> Vec<Mount> {
    let mount = |point: &Value| {
        Some(Mount {
            target: cut(point["Destination"].as_str()?),
            source: text(&point["Name"]).or_else(|| text(&point["Source"])).map(cut),
            mode: if point["RW"] == false { "ro" } else { "rw" }.into(),
        })
    };
    bounded(list(all).filter_map(mount).collect(), MOST_MOUNTS)
}

/// What is there, and not empty.
fn text(found: &Value) -> Option<&str> {
    found.as_str().filter(|text| !text.is_empty())
}

fn word(found: &Value) -> String {
    cut(found.as_str().unwrap_or_default()).into()
}

fn number(found: &Value) -> Option<u16> {
    found.as_u64().and_then(|number| number.try_into().ok())
}

fn list(found: &Value) -> impl Iterator<Item = &Value> {
    found.as_array().into_iter().flatten()
}

fn map(found: &Value) -> impl Iterator<Item = (&String, &Value)> {
    found.as_object().into_iter().flat_map(Map::iter)
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
