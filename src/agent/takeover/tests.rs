//! What the helper is made from, the names of all who take part, and what is told in the end.

use super::*;

fn note(stage: Stage) -> TakeOver {
    TakeOver {
        jti: "1795000000000-00ab12cd34ef".into(),
        image: "agent:2".into(),
        to: "sha256:2".into(),
        from: "1".into(),
        old: ContainerId::new([1; 32]),
        patience: PATIENCE,
        stage,
    }
}

// DM13
#[test]
fn every_name_leads_to_the_others() {
    let names = note(Stage::Trying).names("/radar-agent");
    assert_eq!((&*names.place, &*names.old), ("radar-agent", "radar-agent-radar-old-fe43dc"));
    for name in [&names.place, &names.old, &names.new, &names.helper] {
        assert_eq!(note(Stage::Trying).names(name), names);
    }
    assert_eq!(&*note(Stage::Trying).names("web-radar-old-000000").place, "web-radar-old-000000", "of another");
}

// DM13
#[test]
fn the_helper_has_all_that_it_needs_and_nothing_that_two_cannot_have() {
    let old = json!({
        "Id": "ab".repeat(32),
        "Config": {
            "Hostname": "pi", "Image": "agent:1", "Cmd": ["--config", "/agent.toml"],
            "Env": ["MQTT_URL=mqtt://broker", "PATH=/bin"], "Labels": { "com.docker.compose.project": "edge" },
        },
        "HostConfig": {
            "Binds": ["/run/docker.sock:/run/docker.sock", "data:/data"], "NetworkMode": "edge",
            "RestartPolicy": { "Name": "always" }, "PortBindings": { "80/tcp": [{ "HostPort": "80" }] },
        },
        "Mounts": [],
        "NetworkSettings": { "Networks": {
            "edge": { "IPAMConfig": { "IPv4Address": "10.0.0.2" }, "Aliases": ["agent"], "NetworkID": "1" },
            "more": { "IPAMConfig": { "IPv4Address": "10.1.0.2" }, "DriverOpts": { "a": "b" }, "NetworkID": "2" },
        } },
    });
    let defaults = json!({ "Config": { "Env": ["PATH=/bin"] } });
    let made = helper(&old, (&defaults, &json!({ "Config": {} })), "agent:2", "/radar-agent", &["-v".to_owned()]);
    let body = &made.body.0;
    assert_eq!(body["Image"], "agent:2");
    assert_eq!((&body["Cmd"], &body["Entrypoint"]), (&json!(["-v", "take-over"]), &json!(["/radar-agent"])));
    assert_eq!(body["Env"], json!(["MQTT_URL=mqtt://broker"]));
    assert_eq!(body["Labels"], json!({ "radar.protect": "true" }));
    assert_eq!(body["HostConfig"]["Binds"], old["HostConfig"]["Binds"]);
    assert_eq!(body["HostConfig"]["AutoRemove"], false);
    assert_eq!(body["HostConfig"]["RestartPolicy"]["Name"], "on-failure");
    assert_eq!(body["HostConfig"]["PortBindings"], json!({}));
    assert_eq!(body["NetworkingConfig"]["EndpointsConfig"]["edge"], json!({}));
    assert!(body.get("Hostname").is_none());
    assert_eq!(made.join, [("more".into(), Document(json!({ "DriverOpts": { "a": "b" } })))]);
    let image = json!({ "Config": { "Entrypoint": ["/entry"] } });
    let made = helper(&old, (&defaults, &image), "agent:2", "/radar-agent", &[]);
    assert!(made.body.0.get("Entrypoint").is_none(), "the image knows its own");
}

// DM13
#[test]
fn the_verdict_is_the_helpers_and_without_one_it_was_interrupted() {
    for (stage, state, reason) in [
        (Stage::Adopting, Progress::Succeeded, ""),
        (Stage::Back("not online".into()), Progress::Failed, "rolled-back: not online"),
        (Stage::Trying, Progress::Failed, "rolled-back: interrupted"),
    ] {
        let note = note(stage);
        assert_eq!(ciborium::from_reader::<TakeOver, _>(note.to_bytes().as_slice()).unwrap(), note);
        let settled = note.settle("2");
        assert_eq!((settled.state, &*settled.jti), (state, &*note.jti));
        assert!(settled.reason.unwrap_or_default().starts_with(reason));
    }
}
