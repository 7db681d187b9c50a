//! A container before and after an update, field by field.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Fields that two containers of the same configuration differ in.
const OWN: [&str; 23] = [
    "/Id",
    "/Created",
    "/ResolvConfPath",
    "/HostnamePath",
    "/HostsPath",
    "/LogPath",
    "/GraphDriver",
    // A health check that is just being made.
    "/ExecIDs",
    "/NetworkSettings/SandboxID",
    "/NetworkSettings/SandboxKey",
    "/State/Pid",
    "/State/StartedAt",
    "/State/FinishedAt",
    "/State/ExitCode",
    "/State/Status",
    "/State/Health",
    "/Image",
    // Checked by hand, since the image's defaults have a part in them.
    "/Args",
    "/Path",
    "/Config/Cmd",
    "/Config/Env",
    "/Config/Labels",
    "/Config/ExposedPorts",
];

/// The paths of all leaves in which the two differ.
pub(super) fn differences(path: &str, one: &Value, other: &Value, found: &mut BTreeSet<String>) {
    let none = Value::Null;
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                let (a, b) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
                differences(&format!("{path}/{key}"), a, b, found);
            }
        }
        (a, b) if a != b => _ = found.insert(format!("{path}: {a} → {b}")),
        _ => {}
    }
}

/// What an inspect says, without what is a container's own.
pub(super) fn shape(mut told: Value) -> Value {
    let id = told["Id"].as_str().unwrap_or_default().to_owned();
    for path in OWN {
        if let Some(value) = told.pointer_mut(path) {
            *value = Value::Null;
        }
    }
    if told["Config"]["Hostname"].as_str().is_some_and(|name| id.starts_with(name)) {
        told["Config"]["Hostname"] = "its id".into();
    }
    // What had no name has one now.
    let volume = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(binds) = told["HostConfig"]["Binds"].as_array_mut() {
        binds.retain(|bind| !bind.as_str().and_then(|bind| bind.split(':').next()).is_some_and(volume));
    }
    if told["HostConfig"]["Binds"].as_array().is_some_and(Vec::is_empty) {
        told["HostConfig"]["Binds"] = Value::Null;
    }
    for mount in told["HostConfig"]["Mounts"].as_array_mut().into_iter().flatten() {
        if mount["Source"].as_str().is_some_and(volume) {
            mount.as_object_mut().map(|mount| mount.remove("Source"));
        }
    }
    if let Some(mounts) = told["Mounts"].as_array_mut() {
        // A name says nothing of how the volume may be shared, nor does it need to.
        mounts.iter_mut().for_each(|mount| mount["Mode"] = Value::Null);
        mounts.sort_by_key(|mount| mount["Destination"].to_string());
    }
    let fixed_mac = told["Config"]["MacAddress"].is_string();
    for endpoint in told["NetworkSettings"]["Networks"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        // It gets them when it is started.
        endpoint["EndpointID"] = Value::Null;
        endpoint["NetworkID"] = Value::Null;
        if let Some(aliases) = endpoint["Aliases"].as_array_mut() {
            aliases.retain(|alias| !alias.as_str().is_some_and(|alias| id.starts_with(alias)));
        }
        if endpoint["Aliases"].as_array().is_some_and(Vec::is_empty) {
            endpoint["Aliases"] = Value::Null;
        }
        if endpoint["IPAMConfig"]["IPv4Address"].is_null() {
            endpoint["IPAMConfig"] = Value::Null;
            endpoint["IPAddress"] = Value::Null;
            endpoint["MacAddress"] = Value::Null;
        }
        if !fixed_mac {
            endpoint["MacAddress"] = Value::Null;
        }
    }
    // The ports of the engine's choice.
    told["NetworkSettings"]["Ports"] = Value::Null;
    told
}

fn texts(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect(),
        Value::Object(all) => {
            all.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("{}"))).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// What the defaults of an image make of what was set: the new ones are there, the old ones are gone.
pub(super) fn check_defaults(name: &str, set: &Value, after: &Value) {
    let (mut env, mut labels, mut ports) = (texts(&set["Env"]), texts(&set["Labels"]), texts(&set["ExposedPorts"]));
    if !env.contains("A=mine") {
        env.insert("A=2".to_owned());
    }
    env.insert("B=2".to_owned());
    // What was set to the old image's own value counts as its default.
    labels.remove("version=1");
    labels.insert("version=2".to_owned());
    ports.insert("81/tcp={}".to_owned());
    if set["HostConfig"].get("PortBindings").is_some() {
        ports.insert("80/tcp={}".to_owned());
    }
    let mut found = texts(&after["Config"]["Env"]);
    found.retain(|variable| !variable.starts_with("PATH="));
    assert_eq!(found, env, "{name}");
    assert_eq!(texts(&after["Config"]["Labels"]), labels, "{name}");
    let mut found = texts(&after["Config"]["ExposedPorts"]);
    // A published port is exposed, whoever has said so.
    found.retain(|port| port != "80/tcp={}");
    ports.remove("80/tcp={}");
    assert_eq!(found, ports, "{name}");
    let command = set.get("Cmd").cloned().unwrap_or(json!(["sleep", "1000002"]));
    assert_eq!(after["Config"]["Cmd"], command, "{name}");
}
