//! From what the engine says of a container to what makes its like: the same configuration, where what only came from
//! the old image gives way to the new one. It works on the engine's own words, so that what this version does not know
//! is kept too.

use radar_wire::container::ContainerId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::act::Document;

/// What a container is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blueprint {
    /// What it is created with, on one network at most, as engines before API 1.44 want it.
    pub(crate) body: Document,
    /// The network that creating it puts it on, and that it is not to be on.
    pub(crate) leave: Option<Box<str>>,
    /// The other networks, and its place in each.
    pub(crate) join: Vec<(Box<str>, Document)>,
}

/// Fields of the configuration that an image has defaults for and that are one value each.
const PLAIN: [&str; 5] = ["WorkingDir", "User", "StopSignal", "Shell", "OnBuild"];
/// The same, where each entry is a default of its own.
const MAPS: [&str; 3] = ["Labels", "ExposedPorts", "Volumes"];
/// How a health check is overridden: field by field.
const CHECK: [&str; 6] = ["Test", "Interval", "Timeout", "Retries", "StartPeriod", "StartInterval"];

/// The blueprint of this container, made from `image`. `defaults` is the inspect of the image that it is made from now;
/// without it all is kept as it is, for a container that is made again from the same image.
pub(crate) fn blueprint(old: &Value, defaults: Option<&Value>, image: &str) -> Blueprint {
    let mut config = old["Config"].as_object().cloned().unwrap_or_default();
    let mut host = old["HostConfig"].as_object().cloned().unwrap_or_default();
    let id = text(&old["Id"]);
    if let Some(defaults) = defaults {
        give_way(&mut config, &defaults["Config"]);
    }
    let shared = text(&old["HostConfig"]["NetworkMode"]).starts_with("container:");
    if shared || config.get("Hostname").is_some_and(|name| id.starts_with(text(name))) {
        config.remove("Hostname");
    }
    if shared {
        // The engine has them from the container whose network it is, and takes them from nobody else.
        ["Domainname", "ExposedPorts"].iter().for_each(|field| _ = config.remove(*field));
    }
    config.insert("Image".to_owned(), image.into());
    in_one_way(&mut config, &mut host, id);
    carry_volumes(&mut host, &config, old);
    if let Some(Value::Array(links)) = host.get_mut("Links") {
        links.iter_mut().for_each(|link| *link = unlinked(text(link)).into());
    }
    let networks = old["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
    let own_mac = config.get("MacAddress").is_some_and(|address| !text(address).is_empty());
    let mut join: Vec<(Box<str>, Value)> = networks
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "host" | "none"))
        .map(|(name, place)| (name.as_str().into(), endpoint(place, id, own_mac)))
        .collect();
    let mode = match text(&old["HostConfig"]["NetworkMode"]) {
        "" | "default" => "bridge",
        mode => mode,
    };
    let first = join.iter().position(|(name, _)| &**name == mode || text(&networks[&**name]["NetworkID"]) == mode);
    let leave = first.is_none() && !shared && !matches!(mode, "host" | "none") && !networks.is_empty();
    if let Some((name, place)) = first.map(|at| join.remove(at)) {
        let places = Map::from_iter([(name.into(), place)]);
        config.insert(
            "NetworkingConfig".to_owned(),
            Map::from_iter([("EndpointsConfig".to_owned(), places.into())]).into(),
        );
    }
    config.insert("HostConfig".to_owned(), host.into());
    Blueprint {
        body: Document(config.into()),
        leave: leave.then(|| mode.into()),
        join: join.into_iter().map(|(name, place)| (name, Document(place))).collect(),
    }
}

/// What Podman tells in a way in which it does not take it: limits by the kernel's names, processors in two ways at
/// once, and the host name of the old container among the variables.
fn in_one_way(config: &mut Map<String, Value>, host: &mut Map<String, Value>, id: &str) {
    for limit in host.get_mut("Ulimits").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(name) = text(&limit["Name"]).strip_prefix("RLIMIT_") {
            limit["Name"] = name.to_lowercase().into();
        }
    }
    if host.get("NanoCpus").and_then(Value::as_u64) > Some(0) {
        ["CpuPeriod", "CpuQuota"].iter().for_each(|field| _ = host.remove(*field));
    }
    if let Some(Value::Array(variables)) = config.get_mut("Env") {
        let own = |name: &str| name.len() == 12 && id.starts_with(name);
        variables.retain(|variable| !text(variable).strip_prefix("HOSTNAME=").is_some_and(own));
    }
}

/// Lets it live in the namespaces of another container than before.
pub(super) fn rejoin(blueprint: &mut Blueprint, from: ContainerId, to: ContainerId) {
    let from = format!("container:{from}");
    for mode in ["NetworkMode", "PidMode", "IpcMode"] {
        if let Some(mode) = blueprint.body.0["HostConfig"].get_mut(mode).filter(|mode| text(mode) == from) {
            *mode = format!("container:{to}").into();
        }
    }
}

/// Takes out what equals the image's own defaults.
fn give_way(config: &mut Map<String, Value>, image: &Value) {
    for field in PLAIN {
        if config.get(field) == Some(&image[field]) {
            config.remove(field);
        }
    }
    for field in MAPS {
        if let Some(Value::Object(entries)) = config.get_mut(field) {
            entries.retain(|name, value| image[field].get(name) != Some(value));
        }
    }
    if let Some(Value::Array(variables)) = config.get_mut("Env") {
        let defaults = image["Env"].as_array().map(Vec::as_slice).unwrap_or_default();
        variables.retain(|variable| !defaults.contains(variable));
    }
    // Who sets an entry point gets no command from the image: then an equal one was set too.
    if same(config.get("Entrypoint"), &image["Entrypoint"]) {
        config.remove("Entrypoint");
        if same(config.get("Cmd"), &image["Cmd"]) {
            config.remove("Cmd");
        }
    } else if is_empty(config.get("Entrypoint")) {
        config.insert("Entrypoint".to_owned(), vec![""].into());
    }
    if let Some(Value::Object(check)) = config.get_mut("Healthcheck") {
        for field in CHECK {
            if check.get(field) == image["Healthcheck"].get(field) {
                check.remove(field);
            }
        }
        if check.is_empty() {
            config.remove("Healthcheck");
        }
    }
}

/// Names the volumes that have no name in the configuration, so that their content goes on.
fn carry_volumes(host: &mut Map<String, Value>, config: &Map<String, Value>, old: &Value) {
    let of_others = host.get("VolumesFrom").is_some_and(|from| !is_empty(Some(from)));
    let mounts = old["Mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    for mount in mounts.iter().filter(|mount| text(&mount["Type"]) == "volume") {
        let (name, target) = (text(&mount["Name"]), text(&mount["Destination"]));
        let declared = old["Config"]["Volumes"].get(target).is_some()
            || config.get("Volumes").is_some_and(|all| all.get(target).is_some());
        let bound = |bind: &Value| text(bind).split(':').nth(1) == Some(target);
        let is_bound = host.get("Binds").and_then(Value::as_array).is_some_and(|binds| binds.iter().any(bound));
        if name.is_empty() || is_bound || (of_others && !declared) {
            continue;
        }
        let mounted = host.get_mut("Mounts").and_then(Value::as_array_mut);
        let mounted = mounted.and_then(|all| all.iter_mut().find(|mount| text(&mount["Target"]) == target));
        if let Some(Value::Object(mounted)) = mounted {
            if text(mounted.get("Source").unwrap_or(&Value::Null)).is_empty() {
                mounted.insert("Source".to_owned(), name.into());
            }
            continue;
        }
        let mode = if mount["RW"] == Value::Bool(false) { ":ro" } else { "" };
        let bind: Value = format!("{name}:{target}{mode}").into();
        match host.get_mut("Binds") {
            Some(Value::Array(binds)) => binds.push(bind),
            _ => _ = host.insert("Binds".to_owned(), vec![bind].into()),
        }
    }
}

/// Its place in a network, as far as somebody has set it.
fn endpoint(place: &Value, id: &str, own_mac: bool) -> Value {
    let mut endpoint = Map::new();
    for field in ["IPAMConfig", "Links", "DriverOpts", "GwPriority"] {
        let value = &place[field];
        if !is_empty(Some(value)) && *value != 0 {
            endpoint.insert(field.to_owned(), value.clone());
        }
    }
    let short = |alias: &&Value| text(alias).len() != 12 || !id.starts_with(text(alias));
    let aliases: Vec<Value> = place["Aliases"].as_array().into_iter().flatten().filter(short).cloned().collect();
    if !aliases.is_empty() {
        endpoint.insert("Aliases".to_owned(), aliases.into());
    }
    let address = &place["MacAddress"];
    if !own_mac && !text(address).is_empty() && !is_made_from(text(address), text(&place["IPAddress"])) {
        endpoint.insert("MacAddress".to_owned(), address.clone());
    }
    endpoint.into()
}

/// Engines before 28 make it from the address, and would give it to the next who has that address.
fn is_made_from(mac: &str, ip: &str) -> bool {
    let made: Option<Vec<String>> =
        ip.split('.').map(|part| part.parse::<u8>().ok().map(|part| format!("{part:02x}"))).collect();
    made.is_some_and(|made| mac.eq_ignore_ascii_case(&format!("02:42:{}", made.join(":"))))
}

/// The engine tells `/other:/me/alias`, and is told `other:alias`.
fn unlinked(link: &str) -> String {
    let (other, alias) = link.split_once(':').unwrap_or((link, link));
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    format!("{}:{alias}", other.trim_start_matches('/'))
}

fn same(value: Option<&Value>, default: &Value) -> bool {
    value.unwrap_or(&Value::Null) == default || (is_empty(value) && is_empty(Some(default)))
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(all)) => all.is_empty(),
        Some(Value::Object(all)) => all.values().all(|value| is_empty(Some(value))),
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

/// The text of a value; none is empty.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
