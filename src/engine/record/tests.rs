use serde_json::json;

use super::*;

fn id() -> ContainerId {
    ContainerId::new([7; 32])
}

/// What Docker 20.10 answers, cut to what is read.
fn answer() -> Value {
    let text = r#"{
        "Id": "0707070707070707070707070707070707070707070707070707070707070707",
        "Created": "2026-11-21T02:42:50.913132764Z",
        "State": {"Status": "running", "Running": true, "ExitCode": 0, "StartedAt": "2026-11-21T02:42:51.138055729Z",
                  "FinishedAt": "0001-01-01T00:00:00Z", "Health": {"Status": "starting", "FailingStreak": 0, "Log": []}},
        "Image": "sha256:f08966aa02f623a4cb008c46ca34e717096ba80ac7e8173b2870e72150529433",
        "Name": "/shop-web-1",
        "RestartCount": 2,
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}},
        "Mounts": [
            {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data", "Destination": "/srv", "RW": true},
            {"Type": "bind", "Source": "/etc/shop", "Destination": "/etc/shop", "Mode": "ro", "RW": false}],
        "Config": {"Image": "shop:2", "Env": ["PASSWORD=hunter2"], "ExposedPorts": {"80/tcp": {}, "9000/udp": {}},
                   "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "web",
                              "org.opencontainers.image.version": "2.0", "radar.room": "cellar", "secret": "hunter2"}},
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}], "443/tcp": null},
            "Networks": {"shop_b": {"IPAddress": "172.18.0.2"}, "shop_a": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}}}
    }"#;
    serde_json::from_str(text).unwrap()
}

fn read(answer: &Value) -> Record {
    let image = Resolved { image: "shop".to_owned(), tag: "2".to_owned(), digest: None };
    inspected(id(), answer, image, &Labels::new(&[]))
}

// DM6
#[test]
fn a_record_has_what_the_engine_tells_in_a_fixed_order() {
    let record = read(&answer());
    let text = serde_json::to_string_pretty(&record).unwrap();
    let expect = r#"{
  "id": "0707070707070707070707070707070707070707070707070707070707070707",
  "name": "shop-web-1",
  "image": "shop",
  "tag": "2",
  "image_id": "sha256:f08966aa02f623a4cb008c46ca34e717096ba80ac7e8173b2870e72150529433",
  "state": "running",
  "health": "starting",
  "created": 1795228970913,
  "started": 1795228971138,
  "restarts": 2,
  "restart_policy": "unless-stopped",
  "ports": [
    {
      "private": 80,
      "public": 8080,
      "ip": "0.0.0.0",
      "protocol": "tcp"
    },
    {
      "private": 80,
      "public": 8080,
      "ip": "::",
      "protocol": "tcp"
    },
    {
      "private": 443,
      "protocol": "tcp"
    },
    {
      "private": 9000,
      "protocol": "udp"
    }
  ],
  "networks": [
    {
      "name": "shop_a",
      "ip": "fd00::2"
    },
    {
      "name": "shop_b",
      "ip": "172.18.0.2"
    }
  ],
  "mounts": [
    {
      "target": "/etc/shop",
      "source": "/etc/shop",
      "mode": "ro"
    },
    {
      "target": "/srv",
      "source": "data",
      "mode": "rw"
    }
  ],
  "project": "shop",
  "service": "web",
  "labels": {
    "org.opencontainers.image.version": "2.0",
    "radar.room": "cellar"
  }
}"#;
    assert_eq!(text, expect);
    assert!(!text.contains("hunter2"));
}

// DM6
#[test]
fn an_exit_code_is_there_only_after_a_run() {
    let ran = "2026-11-21T02:42:51Z";
    let never = "0001-01-01T00:00:00Z";
    let table = [
        ("created", never, None),
        ("created", ran, None),
        ("running", ran, None),
        ("paused", ran, None),
        ("exited", ran, Some(137)),
        ("restarting", ran, Some(137)),
        ("dead", ran, Some(137)),
        ("dead", never, None),
    ];
    for (status, started, expect) in table {
        let record = read(&json!({ "State": { "Status": status, "ExitCode": 137, "StartedAt": started } }));
        assert_eq!(record.exit_code, expect, "{status} {started}");
    }
}

// DM6
#[test]
fn words_for_nothing_are_nothing() {
    let record = read(&json!({
        "State": { "Health": { "Status": "none" } },
        "HostConfig": { "RestartPolicy": { "Name": "" } },
        "RestartCount": -1,
    }));
    assert_eq!((record.health, record.restarts, record.restart_policy.as_deref()), (None, 0, Some("no")));
}

#[test]
fn what_is_odd_in_number_or_length_is_bounded() {
    let long = "ä".repeat(5000);
    let many = |number: usize| (0..number).map(move |n| format!("radar.{n:05}"));
    let labels = many(500).map(|label| (label, long.clone().into())).chain([(format!("radar.{long}"), "".into())]);
    let ports = (1..=3000u16).map(|port| (format!("{port}/tcp"), Value::Null));
    let mounts = many(500).map(|name| json!({ "Source": long, "Destination": format!("/{name}/{long}") }));
    let networks = many(500).map(|name| (format!("{name}{long}"), json!({})));
    let record = read(&json!({
        "Name": long,
        "Config": { "Labels": labels.collect::<Map<_, _>>() },
        "Mounts": mounts.collect::<Vec<_>>(),
        "NetworkSettings": { "Ports": ports.collect::<Map<_, _>>(), "Networks": networks.collect::<Map<_, _>>() },
    }));
    assert_eq!(record.labels.len(), MOST_LABELS);
    assert_eq!(record.ports.len(), MOST_PORTS);
    assert!(record.name.ends_with("ä…") && record.name.len() <= LONGEST_TEXT);
    let event = radar_wire::event::Event {
        epoch: 1 << 52,
        sequence: 1 << 52,
        first: None,
        at: 0,
        time: Some(i64::MAX),
        action: radar_wire::event::Action::Create,
        id: Some(record.id),
        name: Some(record.name.clone()),
        set: radar_wire::fields::Fields::of(&record),
    };
    assert!(radar_wire::codec::encode(&event).is_ok());
}

#[test]
fn labels_are_shown_by_name_and_by_prefix() {
    let labels = Labels::new(&["team".to_owned(), "traefik.*".to_owned(), String::new()]);
    for (label, expect) in [
        ("org.opencontainers.image.title", true),
        ("radar.x", true),
        ("team", true),
        ("teams", false),
        ("traefik.enable", true),
        ("com.docker.compose.config-hash", false),
        ("radar", false),
    ] {
        assert_eq!(labels.shown(label), expect, "{label}");
    }
}

// DM20
#[test]
fn what_protects_a_container_is_not_cut_off() {
    let labels = Labels::new(&["a.*".to_owned()]);
    let many = (0..100).map(|number| (format!("a.{number}"), "".into()));
    let all = many.chain([("radar.protect".to_owned(), "true".into())]).collect();
    let shown = labels.select(&Value::Object(all));
    assert_eq!((shown.len(), shown.get("radar.protect").map(|value| &**value)), (MOST_LABELS, Some("true")));
}

// DM6
#[test]
fn a_list_tells_the_state_and_hides_health_in_its_text() {
    let table = [
        ("Up 2 seconds (healthy)", Some(Health::Healthy)),
        ("Up 2 seconds (unhealthy)", Some(Health::Unhealthy)),
        ("Up 2 seconds (health: starting)", Some(Health::Starting)),
        ("Up 2 seconds (Paused)", None),
        ("Up 2 seconds", None),
        ("Exited (137) 3 seconds ago", None),
        ("Restarting (1) 3 seconds ago", None),
        ("", None),
    ];
    for (status, expect) in table {
        assert_eq!(health_in(status), expect, "{status}");
    }
    let text = r#"{"Id": "0707070707070707070707070707070707070707070707070707070707070707",
        "Names": ["/other/alias", "/web"], "Image": "shop:2", "ImageID": "sha256:f0", "Created": 1795228970,
        "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}], "State": "running",
        "Status": "Up 2 seconds (healthy)", "Labels": {"com.docker.compose.project": "shop"}}"#;
    let Listed { record } = listed(&serde_json::from_str(text).unwrap(), &Labels::new(&[])).unwrap();
    assert_eq!((&*record.name, &*record.image, &*record.tag), ("web", "shop", "2"));
    assert_eq!((record.state, record.health), (State::Running, Some(Health::Healthy)));
    assert_eq!((record.created, record.ports.len()), (Some(1_795_228_970_000), 1));
}

#[test]
fn no_answer_is_too_odd() {
    let odd = json!({ "Id": id().to_string(), "State": [], "Names": {}, "Labels": "x", "Ports": [1, {}], "Mounts": 2 });
    for answer in [json!(null), json!("text"), json!([[1]]), odd.clone()] {
        read(&answer);
    }
    let Listed { record } = listed(&odd, &Labels::new(&[])).unwrap();
    assert_eq!((record.ports.len(), record.mounts.len(), record.labels.len()), (0, 0, 0));
    assert!(listed(&json!({ "Id": 7 }), &Labels::new(&[])).is_none());
}
