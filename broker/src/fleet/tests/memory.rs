//! What an agent costs.

use super::*;

/// Resident memory in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A container with about everything that a record can say.
pub(crate) fn full(agent: usize, number: usize) -> Record {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (agent.wrapping_mul(31) ^ number.wrapping_mul(131) ^ at.wrapping_mul(agent + 7)).to_le_bytes()[0];
    }
    bytes[0] = number.to_le_bytes()[0];
    serde_json::from_value(serde_json::json!({
        "id": ContainerId::new(bytes).to_string(), "name": format!("service-{number}"), "image": "registry.example/team/app",
        "tag": "1.25.3", "digest": format!("sha256:{}", ContainerId::new(bytes)),
        "image_id": format!("sha256:{}", ContainerId::new(bytes)), "state": "running", "health": "healthy",
        "created": 1_700_000_000_000_i64, "started": 1_700_000_000_500_i64, "restart_policy": "unless-stopped",
        "ports": [{"private": 80, "public": 8000 + number, "ip": "0.0.0.0", "protocol": "tcp"}],
        "networks": [{"name": "web_default", "ip": "172.18.0.2"}],
        "mounts": [{"target": "/data", "source": format!("/srv/{number}"), "mode": "rw"}],
        "project": "web", "service": format!("service-{number}"),
        "labels": {"org.opencontainers.image.version": "1.25.3"},
    }))
    .unwrap()
}

#[test]
#[ignore = "measures; cargo test -p radar-bridge --lib -- --ignored --nocapture memory"]
fn ten_thousand_agents_fit() {
    let before = resident();
    let mut fleet = Fleet::new(Limits::default());
    let mut packed = 0;
    for agent in 0..10_000 {
        let id: AgentId = format!("agent-{agent:05}").parse().unwrap();
        let birth = status(&["online", "1", "start", "machine=0123456789abcdef", "engine=up"], 0).bytes;
        fleet.handle_message(&id, &Channel::Status, None, &birth, false, Now::default());
        let mut snapshot = snapshot(&["snapshot", "7", "0", "none"], 0);
        snapshot.containers = (0..25).map(|number| full(agent, number)).collect();
        let encoded = encode(&snapshot).unwrap();
        packed += encoded.bytes.len();
        let content_type = Some(encoded.content_type.as_str());
        fleet.handle_message(&id, &Channel::Snapshot, content_type, &encoded.bytes, false, Now::default());
        for number in 1..=5 {
            let mut event = event(&["event", "7", &number.to_string(), "die", "web", "exited"], 0);
            event.id = Some(snapshot.containers[0].id);
            let payload = encode(&event).unwrap().bytes;
            fleet.handle_message(&id, &Channel::Event, None, &payload, false, Now::default());
        }
        drop(fleet.take_writes());
        while fleet.next_effect().is_some() {}
    }
    let bytes = (resident() - before) / 10_000;
    std::fs::write("/dev/stderr", format!("{bytes} bytes per agent, of which {} are its snapshot\n", packed / 10_000))
        .unwrap();
    assert!(bytes < 20_000, "{bytes}");
    assert_eq!(fleet.summary().online, 10_000);
}
