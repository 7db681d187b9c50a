//! Containers of many configurations, for an update to keep.

use serde_json::{Map, Value, json};

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn maybe(&mut self) -> bool {
        self.roll(2) == 0
    }
}

/// A container of some configuration: what it is created with, the networks that it is put on then, and what is done to it.
pub(super) struct Case {
    pub(super) body: Value,
    pub(super) more: Vec<(&'static str, Value)>,
    pub(super) acts: &'static [&'static str],
}

/// Another configuration for each number.
pub(super) fn case(seed: u64, subnet: u8) -> Case {
    let mut dice = Dice(seed);
    let last = 10 + seed;
    let endpoint = |at: u8, dice: &mut Dice| {
        let mut endpoint = json!({ "Aliases": [format!("alias-{seed}-{at}"), "service"] });
        if dice.maybe() {
            endpoint["IPAMConfig"] = json!({ "IPv4Address": format!("10.{subnet}.{at}.{last}") });
        }
        endpoint
    };
    let mut host = Map::new();
    let mut config = Map::new();
    let mut more = Vec::new();
    match dice.roll(3) {
        0 => _ = host.insert("NetworkMode".into(), "none".into()),
        networks => {
            host.insert("NetworkMode".into(), "front".into());
            let first = endpoint(0, &mut dice);
            config.insert("NetworkingConfig".into(), json!({ "EndpointsConfig": { "front": first } }));
            if networks == 2 {
                more.push(("back", endpoint(1, &mut dice)));
            }
            if dice.maybe() {
                config.insert("MacAddress".into(), format!("92:d0:c6:0a:29:{last:02x}").into());
            }
        }
    }
    let options: [(&str, Value); 18] = [
        ("Binds", json!([format!("named-{seed}:/named:ro"), "/tmp:/host"])),
        ("Mounts", json!([{ "Type": "volume", "Target": "/mounted" }, { "Type": "tmpfs", "Target": "/quick" }])),
        ("CpuShares", json!(512)),
        ("CapAdd", json!(["NET_ADMIN"])),
        ("CapDrop", json!(["CHOWN"])),
        ("ReadonlyRootfs", json!(true)),
        ("Tmpfs", json!({ "/scratch": "size=1m" })),
        ("Ulimits", json!([{ "Name": "nofile", "Soft": 100, "Hard": 200 }])),
        ("LogConfig", json!({ "Type": "json-file", "Config": { "max-size": "1m", "tag": "x" } })),
        ("RestartPolicy", json!({ "Name": "on-failure", "MaximumRetryCount": 3 })),
        ("ShmSize", json!(1_048_576)),
        ("OomScoreAdj", json!(100)),
        ("ExtraHosts", json!(["other:10.0.0.1"])),
        ("Dns", json!(["10.0.0.53"])),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("GroupAdd", json!(["7"])),
        ("IpcMode", json!("shareable")),
        ("PortBindings", json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "" }] })),
    ];
    for (name, value) in options {
        if dice.maybe() {
            host.insert(name.into(), value);
        }
    }
    let settings: [(&str, Value); 10] = [
        ("Env", json!(["OWN=1", "A=mine"])),
        ("Labels", json!({ "com.docker.compose.project": "home", "version": "1", "own": "1" })),
        ("Cmd", json!(["sleep", "1000009"])),
        ("Hostname", json!(format!("host-{seed}"))),
        ("Volumes", json!({ "/anonymous": {} })),
        ("User", json!("0:0")),
        ("StopTimeout", json!(3)),
        ("Tty", json!(true)),
        ("ExposedPorts", json!({ "90/udp": {} })),
        ("Healthcheck", json!({ "Test": ["CMD", "true"], "Interval": 1_000_000_000_u64, "Retries": 2 })),
    ];
    for (name, value) in settings {
        if dice.maybe() {
            config.insert(name.into(), value);
        }
    }
    let acts: &[&str] = match dice.roll(5) {
        0 => &[],
        1 => &["start", "stop"],
        2 => &["start", "pause"],
        _ => &["start"],
    };
    if acts == ["start"] && !host.contains_key("RestartPolicy") && dice.maybe() {
        host.insert("AutoRemove".into(), true.into());
    }
    config.insert("HostConfig".into(), host.into());
    Case { body: config.into(), more, acts }
}
