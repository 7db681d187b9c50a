use std::fs;

use super::*;

fn load(env: &[(&str, &str)]) -> Result<Settings, String> {
    let find = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Settings::load(None, find).map_err(|error| error.to_string())
}

// DM19
#[test]
fn nothing_needs_to_be_set() {
    let settings = load(&[]).unwrap();
    assert_eq!(settings.prefix.as_str(), "radar");
    assert_eq!(settings.agent.agent_id, None);
    assert!(settings.agent.agent_stats_interval.is_none() && settings.agent.agent_registry_config.is_none());
    assert_eq!(settings.agent.agent_snapshot_interval.0, Duration::from_secs(30));
    assert_eq!(settings.agent.agent_outbox_events, 10_000);
    assert_eq!(settings.agent.agent_outbox_bytes, 4 * 1024 * 1024);
    assert_eq!(settings.agent.log_format, Format::Text);
}

// DM19
#[test]
fn what_is_given_is_taken() {
    let settings = load(&[
        ("AGENT_ID", "3f2b8f2e-58a8-4a0e-8a52-2f0b0c7a0001"),
        ("AGENT_ENROLL_TOKEN", "t0ken"),
        ("MQTT_TOPIC_PREFIX", "radar/home"),
        ("AGENT_LABELS", "traefik.enable, com.example.*"),
        ("AGENT_SNAPSHOT_INTERVAL", "500ms"),
        ("AGENT_STATS_INTERVAL", "1h"),
        ("AGENT_REGISTRY_CONFIG", "/root/.docker/config.json"),
        ("DATA_DIR", "/data"),
    ])
    .unwrap();
    assert_eq!(settings.agent.agent_id.as_ref().map(AgentId::as_str), Some("3f2b8f2e-58a8-4a0e-8a52-2f0b0c7a0001"));
    assert_eq!(settings.prefix.as_str(), "radar/home");
    assert_eq!(settings.agent.agent_labels.0, ["traefik.enable", "com.example.*"]);
    assert_eq!(settings.agent.agent_stats_interval.map(|interval| interval.0), Some(Duration::from_secs(3600)));
    assert_eq!(settings.agent.agent_registry_config.as_deref(), Some(Path::new("/root/.docker/config.json")));
    assert_eq!(settings.agent.data_dir.as_deref(), Some(Path::new("/data")));
    // RR13
    assert!(!format!("{settings:?}").contains("t0ken"));
}

// DM19
#[test]
fn a_bad_value_is_refused_with_the_name_of_its_setting() {
    for (name, value) in [
        ("AGENT_ID", "pi kitchen"),
        ("AGENT_ID", "a/b"),
        ("AGENT_NAME", " "),
        ("AGENT_SNAPSHOT_INTERVAL", "30"),
        ("AGENT_SNAPSHOT_INTERVAL", "5ms"),
        ("AGENT_RECONCILE_INTERVAL", "2d"),
        ("AGENT_STATS_INTERVAL", "4s"),
        ("AGENT_STATS_INTERVAL", "61m"),
        ("AGENT_OUTBOX_EVENTS", "9"),
        ("AGENT_OUTBOX_EVENTS", "many"),
        ("AGENT_OUTBOX_BYTES", "100"),
        ("AGENT_ENROLL_TOKEN", "t0ken"),
        ("MQTT_TOPIC_PREFIX", "radar/#"),
        ("MQTT_URL", "broker:1883"),
        ("LOG_FORMAT", "xml"),
    ] {
        let error = load(&[(name, value)]).unwrap_err();
        assert!(error.contains(name), "{name}={value}: {error}");
        assert!(!error.contains("t0ken"), "{error}");
    }
}

// DM19
#[test]
fn every_field_has_a_row_and_every_row_its_variable() {
    let table = table();
    for setting in &table {
        assert_eq!(setting.key.to_uppercase(), setting.variable);
        assert!(setting.sentence.ends_with('.'), "{}", setting.key);
    }
    for fixed in [
        "MQTT_URL",
        "MQTT_USERNAME",
        "MQTT_PASSWORD",
        "MQTT_CA_FILE",
        "MQTT_CERT_FILE",
        "MQTT_KEY_FILE",
        "MQTT_TOPIC_PREFIX",
        "DATA_DIR",
        "LOG_FORMAT",
        "AGENT_ID",
        "AGENT_NAME",
        "AGENT_ENROLL_TOKEN",
        "AGENT_LOG_LEVEL",
        "AGENT_SNAPSHOT_INTERVAL",
        "DOCKER_HOST",
    ] {
        assert_eq!(table.iter().filter(|setting| setting.variable == fixed).count(), 1, "{fixed}");
    }
}

// DM19
#[test]
fn the_example_file_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/agent.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rows) = text.split_once("\n\n").unwrap();
    assert!(head.lines().all(|line| line.starts_with('#')), "{head}");
    assert_eq!(rows, settings::example_toml(&table()), "the table has changed: make the example from it again");
    Settings::load(Some(&path), |_| None).unwrap();
    let uncommented = tempfile::NamedTempFile::new().unwrap();
    let keys = rows.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' '));
    let given: Vec<&str> = keys.filter(|line| !line.ends_with("\"\"")).collect();
    assert!(given.len() > 5, "{given:?}");
    fs::write(&uncommented, given.join("\n")).unwrap();
    Settings::load(Some(uncommented.path()), |_| None).unwrap();
}
