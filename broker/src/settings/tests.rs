use std::fs;
use std::time::Duration;

use super::*;

fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(None, |name| {
        variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
    })
}

// DM19
#[test]
fn without_anything_set_it_is_a_bridge_of_the_local_broker_without_an_upstream() {
    let settings = load(&[]).unwrap();
    assert_eq!(settings.prefix, Prefix::default());
    assert_eq!(settings.data_dir, Path::new("/var/lib/radar-bridge"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.upstream, None);
    assert_eq!(settings.client_id("radar-bridge"), "radar-bridge-radar");
    assert_eq!(settings.mqtt.mqtt_keep_alive.0, Duration::from_secs(30));
}

// DM19
#[test]
fn a_wrong_value_is_refused_with_the_name_of_its_setting() {
    const SERVER: (&str, &str) = ("SERVER_URL", "https://radar.example");
    for (variables, name, why) in [
        (&[("MQTT_URL", "broker")][..], "MQTT_URL", "mqtt://"),
        (&[("MQTT_TOPIC_PREFIX", "a/+")], "MQTT_TOPIC_PREFIX", "not a topic prefix"),
        (&[("LOG_FORMAT", "xml")], "LOG_FORMAT", "json"),
        (&[("BRIDGE_LISTEN", "8080")], "BRIDGE_LISTEN", "address"),
        (&[("BRIDGE_API_LISTEN", "no")], "BRIDGE_API_LISTEN", "or `off`"),
        (&[("BRIDGE_KEEP_DAYS", "0")], "BRIDGE_KEEP_DAYS", "nonzero"),
        (&[("BRIDGE_KEEP_EVENTS", "many")], "BRIDGE_KEEP_EVENTS", "`many`"),
        (&[("BRIDGE_MAX_AGENTS", "-1")], "BRIDGE_MAX_AGENTS", "`-1`"),
        (&[("SERVER_URL", "radar.example")], "SERVER_URL", "http:// or https://"),
        (&[("SERVER_URL", "ftp://radar.example")], "SERVER_URL", "http:// or https://"),
        (&[("SERVER_URL", "http://")], "SERVER_URL", "http"),
        (&[("SERVER_URL", "http://:80")], "SERVER_URL", "host"),
        (&[("SERVER_URL", "http://me:secret@radar.example")], "SERVER_URL", "SERVER_USERNAME"),
        (&[("SERVER_URL", "http://radar.example/?x")], "SERVER_URL", "more than"),
        (&[("MQTT_ADMIN_PASSWORD", "secret")], "MQTT_ADMIN_PASSWORD", "MQTT_ADMIN_USERNAME"),
        (&[("MQTT_ADMIN_USERNAME", "admin")], "MQTT_ADMIN_USERNAME", "MQTT_ADMIN_PASSWORD"),
        (&[SERVER, ("SERVER_PASSWORD", "secret")], "SERVER_PASSWORD", "SERVER_USERNAME"),
        (&[SERVER, ("SERVER_USERNAME", "admin")], "SERVER_USERNAME", "SERVER_PASSWORD"),
        (&[SERVER, ("REFRESH_SECRET", "secret")], "REFRESH_SECRET", "AGENT_ID"),
        (&[SERVER, ("AGENT_ENROLL_TOKEN", "secret")], "AGENT_ENROLL_TOKEN", "AGENT_ID"),
        (&[SERVER, ("AGENT_ID", "a")], "AGENT_ID", "REFRESH_SECRET"),
        (&[SERVER, ("AGENT_ID", "a/b"), ("REFRESH_SECRET", "secret")], "AGENT_ID", "not an agent id"),
        (&[("SERVER_USERNAME", "admin")], "SERVER_USERNAME", "SERVER_URL"),
        (&[("AGENT_ID", "a"), ("AGENT_ENROLL_TOKEN", "secret")], "AGENT_ID", "SERVER_URL"),
    ] {
        let error = load(variables).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(why), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

// DM19, RR13
#[test]
fn the_server_and_its_identities_are_taken_together() {
    let settings = load(&[
        ("SERVER_URL", "https://radar.example/deep/path/"),
        ("SERVER_USERNAME", "admin"),
        ("SERVER_PASSWORD", "hunter2"),
        ("AGENT_ID", "8c1f"),
        ("REFRESH_SECRET", "hunter3"),
        ("AGENT_ENROLL_TOKEN", "hunter4"),
    ])
    .unwrap();
    let upstream = settings.upstream.as_ref().unwrap();
    assert_eq!(upstream.url, "https://radar.example/deep/path");
    assert_eq!(upstream.login.as_ref().unwrap().password.expose(), "hunter2");
    assert_eq!(upstream.identity.as_ref().unwrap().refresh_secret.as_ref().unwrap().expose(), "hunter3");
    assert!(!format!("{settings:?}").contains("hunter"));
}

// DM19
#[test]
fn the_environment_wins_over_the_file_and_an_empty_variable_is_none() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("bridge.toml");
    fs::write(&file, "data_dir = \"/of/file\"\nmqtt_topic_prefix = \"radar/site7\"\nbridge_keep_days = 7\n").unwrap();
    let env = |name: &str| match name {
        "DATA_DIR" => Some("/of/environment".to_owned()),
        "MQTT_TOPIC_PREFIX" => Some(String::new()),
        _ => None,
    };
    let settings = Settings::load(Some(&file), env).unwrap();
    assert_eq!(settings.database(), Path::new("/of/environment/bridge.db"));
    assert_eq!(settings.prefix.as_str(), "radar/site7");
    assert_eq!(settings.keep.days, 7);
    assert_eq!(settings.client_id("radar-bridge"), "radar-bridge-radar-site7");
}

// DM19
#[test]
fn the_example_file_is_the_table() {
    let example = include_str!("../../../deploy/examples/bridge.toml");
    let table = settings::example_toml(&table());
    assert!(example.ends_with(&table), "deploy/examples/bridge.toml should end with:\n{table}");
}
