//! What a simulated host runs: containers made from nothing but numbers, so that none has to be kept.
//! They look like those of a home server, and their ids and digests compress as badly as real ones.

use std::collections::BTreeMap;

use radar_wire::container::{ContainerId, Mount, Network, Port, Record, State};

const IMAGES: [(&str, &str, u16); 10] = [
    ("ghcr.io/home-assistant/home-assistant", "2025.11", 8123),
    ("eclipse-mosquitto", "2.0", 1883),
    ("nginx", "1.27-alpine", 80),
    ("postgres", "16", 5432),
    ("grafana/grafana-oss", "11.3.0", 3000),
    ("prom/prometheus", "v3.0.0", 9090),
    ("lscr.io/linuxserver/nextcloud", "latest", 443),
    ("pihole/pihole", "2025.08.0", 53),
    ("registry.example:5000/shop/till", "4.2.1", 8080),
    ("redis", "7-alpine", 6379),
];

/// 2025-09-01, before which nothing of a simulated host began.
const BEGINNING: i64 = 1_756_684_800_000;

/// The id of an agent's container.
pub(super) fn id(agent: u32, container: u16) -> ContainerId {
    ContainerId::new(noise(u64::from(agent) << 16 | u64::from(container)))
}

/// The name of a container.
pub(super) fn name(container: u16) -> Box<str> {
    let (image, ..) = IMAGES[usize::from(container) % IMAGES.len()];
    let service = image.rsplit('/').next().unwrap_or(image);
    format!("{service}-{container}").into()
}

/// A container as a record.
pub(super) fn record(agent: u32, container: u16, state: State) -> Record {
    let (image, tag, port) = IMAGES[usize::from(container) % IMAGES.len()];
    let name = name(container);
    let started = BEGINNING + i64::from(agent) * 7_919 + i64::from(container) * 60_013;
    Record {
        id: id(agent, container),
        image: image.into(),
        tag: tag.into(),
        digest: Some(format!("sha256:{}", ContainerId::new(noise(u64::from(port)))).into()),
        image_id: Some(format!("sha256:{}", ContainerId::new(noise(u64::from(port) << 20))).into()),
        state,
        health: None,
        exit_code: None,
        created: Some(started - 1_500),
        started: Some(started),
        finished: None,
        restarts: 0,
        restart_policy: Some("unless-stopped".into()),
        ports: vec![Port { private: port, public: Some(port), ip: Some("0.0.0.0".into()), protocol: "tcp".into() }],
        networks: vec![Network {
            name: "home_default".into(),
            ip: Some(format!("172.18.0.{}", container % 250).into()),
        }],
        mounts: vec![Mount { target: "/data".into(), source: Some(format!("/srv/{name}").into()), mode: "rw".into() }],
        project: Some("home".into()),
        service: Some(name.clone()),
        labels: BTreeMap::from([("org.opencontainers.image.version".into(), tag.into())]),
        name,
    }
}

/// 32 bytes that look random and depend on the number alone (SplitMix64).
fn noise(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for word in bytes.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes
}
