use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::super::{LOG, List, MQTT, MqttSettings, Span, load};
use super::*;
use crate::logging::Format;
use crate::secret::Secret;

const TABLE: &[Setting] = &[
    Setting { key: "name", variable: "NAME", default: None, secret: false, sentence: "Who we are." },
    Setting { key: "interval", variable: "INTERVAL", default: Some("30s"), secret: false, sentence: "How often." },
    Setting { key: "port", variable: "PORT", default: Some("80"), secret: false, sentence: "Where." },
    Setting { key: "quiet", variable: "QUIET", default: Some("false"), secret: false, sentence: "Say less." },
    Setting { key: "labels", variable: "LABELS", default: Some(""), secret: false, sentence: "Which." },
    Setting { key: "code", variable: "CODE", default: None, secret: true, sentence: "The code." },
    Setting { key: "pin", variable: "PIN", default: Some("7"), secret: true, sentence: "The pin." },
];

#[derive(Debug, PartialEq, Deserialize)]
struct Own {
    name: String,
    interval: Span,
    port: u16,
    quiet: bool,
    labels: List,
    code: Option<Secret>,
    pin: u8,
}

/// Reads a configuration file with this text (none when it is empty) and these variables.
/// `{room}` stands for a directory with the file `code`, which holds `0123` and an end of line.
fn read_own(toml: &str, env: &[(&str, &str)]) -> Result<Own, String> {
    let room = tempfile::tempdir().unwrap();
    let path = |text: &str| text.replace("{room}", &room.path().display().to_string());
    fs::write(room.path().join("code"), "0123\n").unwrap();
    let file = room.path().join("conf.toml");
    fs::write(&file, path(toml)).unwrap();
    let file = (!toml.is_empty()).then_some(file.as_path());
    let env = |variable: &str| env.iter().find(|(name, _)| *name == variable).map(|(_, value)| path(value));
    load(TABLE, file, env).map_err(|error| error.to_string().replace(&room.path().display().to_string(), "{room}"))
}

fn own() -> Own {
    Own {
        name: "me".to_owned(),
        interval: Span(Duration::from_secs(30)),
        port: 80,
        quiet: false,
        labels: List::default(),
        code: None,
        pin: 7,
    }
}

fn words(words: &[&str]) -> List {
    List(words.iter().map(|word| (*word).to_owned()).collect())
}

// DM19
#[test]
fn values_come_from_the_environment_the_file_and_the_table_in_this_order() {
    let code = |text: &str| Some(Secret::new(text));
    for (toml, env, expected) in [
        ("", &[("NAME", "me")][..], own()),
        ("name = \"me\"", &[], own()),
        ("name = \"file\"", &[("NAME", "me")], own()),
        ("name = \"me\"", &[("NAME", "")], own()),
        ("name = \"me\"\nport = 81\nquiet = true", &[], Own { port: 81, quiet: true, ..own() }),
        ("name = \"me\"\nport = 81", &[("PORT", "82"), ("QUIET", "yes")], Own { port: 82, quiet: true, ..own() }),
        ("name = \"0123\"", &[], Own { name: "0123".to_owned(), ..own() }),
        ("", &[("NAME", "1e5")], Own { name: "1e5".to_owned(), ..own() }),
        ("", &[("NAME", "me"), ("INTERVAL", "500ms")], Own { interval: Span(Duration::from_millis(500)), ..own() }),
        ("", &[("NAME", "me"), ("LABELS", "a, b.c,,")], Own { labels: words(&["a", "b.c"]), ..own() }),
        ("name = \"me\"\nlabels = [\"a\", \"b\"]", &[], Own { labels: words(&["a", "b"]), ..own() }),
        ("", &[("NAME", "me"), ("CODE", "0x7f ")], Own { code: code("0x7f "), ..own() }),
        ("", &[("NAME", "me"), ("CODE_FILE", "{room}/code")], Own { code: code("0123"), ..own() }),
        ("name = \"me\"\ncode_file = \"{room}/code\"", &[], Own { code: code("0123"), ..own() }),
        ("name = \"me\"\ncode = \"a\"", &[("CODE_FILE", "{room}/code")], Own { code: code("0123"), ..own() }),
        ("name = \"me\"\ncode_file = \"/nowhere\"", &[("CODE", "b")], Own { code: code("b"), ..own() }),
    ] {
        assert_eq!(read_own(toml, env), Ok(expected), "{toml} {env:?}");
    }
}

// DM19
#[test]
fn what_is_wrong_is_said_with_the_setting_and_its_source() {
    for (toml, env, expected) in [
        (
            "",
            &[][..],
            "NAME is not set; give it in the environment, or as `name` in the configuration file (Who we are.)",
        ),
        (
            "",
            &[("NAME", "me"), ("INTERVAL", "abc")],
            "variable INTERVAL: `abc` is not a duration; use for example `30s` (units: ms, s, m, h, d)",
        ),
        (
            "name = \"me\"\ninterval = 30",
            &[],
            "key interval in {room}/conf.toml: `30` is not a duration; use for example `30s` (units: ms, s, m, h, d)",
        ),
        ("", &[("NAME", "me"), ("PORT", "many")], "variable PORT: `many` is not an integer"),
        ("", &[("NAME", "me"), ("QUIET", "perhaps")], "variable QUIET: `perhaps` is not a boolean"),
        ("nmae = \"me\"", &[], "configuration file {room}/conf.toml: there is no setting `nmae`; did you mean `name`?"),
        (
            "name = \"me\"\n[mqtt]\nurl = 1",
            &[],
            "configuration file {room}/conf.toml: there is no setting `mqtt`; did you mean `port`?",
        ),
        (
            "name = \"me\"\nname_file = \"x\"",
            &[],
            "configuration file {room}/conf.toml: there is no setting `name_file`; did you mean `code_file`?",
        ),
        (
            "",
            &[("NAME", "me"), ("CODE", "a"), ("CODE_FILE", "b")],
            "variable CODE and variable CODE_FILE are both given; remove one of them",
        ),
        (
            "name = \"me\"\ncode = \"a\"\ncode_file = \"b\"",
            &[],
            "key code in {room}/conf.toml and key code_file in {room}/conf.toml are both given; remove one of them",
        ),
        (
            "",
            &[("NAME", "me"), ("CODE_FILE", "{room}/none")],
            "variable CODE_FILE: cannot read {room}/none: No such file or directory (os error 2)",
        ),
        (
            "",
            &[("NAME", "me"), ("PIN", "4711")],
            "variable PIN: the value cannot be used (it is secret, so it is not shown); what belongs here: The pin.",
        ),
    ] {
        assert_eq!(read_own(toml, env), Err(expected.to_owned()), "{toml} {env:?}");
    }
    let error = read_own("name = ", &[]).unwrap_err();
    assert!(error.starts_with("configuration file {room}/conf.toml: "), "{error}");
    let error = read(TABLE, Some(Path::new("/nowhere/conf.toml")), |_| None).unwrap_err().to_string();
    assert_eq!(error, "configuration file /nowhere/conf.toml: No such file or directory (os error 2)");
    let out_of_range = read_own("", &[("NAME", "me"), ("PORT", "70000")]).unwrap_err();
    assert!(out_of_range.starts_with("variable PORT: `70000` is not "), "{out_of_range}");
}

#[derive(Debug, Deserialize)]
struct Log {
    log_level: String,
    log_format: Format,
}

// DM19
#[test]
fn one_table_fills_several_structures() {
    let table = [MQTT, LOG].concat();
    let env = |variable: &str| match variable {
        "MQTT_URL" => Some("mqtts://broker.example".to_owned()),
        "MQTT_PASSWORD" => Some("hunter2".to_owned()),
        "MQTT_CA_FILE" => Some("/ca.pem".to_owned()),
        "LOG_FORMAT" => Some("json".to_owned()),
        _ => None,
    };
    let values = read(&table, None, env).unwrap();
    let mqtt: MqttSettings = values.part().unwrap();
    let log: Log = values.part().unwrap();
    assert_eq!((log.log_level.as_str(), log.log_format), ("info", Format::Json));
    let session = mqtt.session("me");
    assert_eq!(session.url.to_string(), "mqtts://broker.example:8883");
    assert_eq!(session.ca_file, Some(PathBuf::from("/ca.pem")));
    assert_eq!((session.username, session.keep_alive), (None, Duration::from_secs(30)));
    assert_eq!(mqtt.mqtt_topic_prefix, "radar");
    assert!(!format!("{values:?} {mqtt:?}").contains("hunter2"));

    let refused = values.refuse("mqtt_url", "it leads nowhere");
    assert_eq!(refused.to_string(), "variable MQTT_URL: it leads nowhere");
    let refused = values.refuse("log_level", "too quiet");
    assert_eq!(refused.to_string(), "default of LOG_LEVEL: too quiet");
}

// DM19
#[test]
fn words_that_are_not_known_are_listed() {
    let of = |variable: &'static str, value: &'static str| {
        read(&[MQTT, LOG].concat(), None, move |name| (name == variable).then(|| value.to_owned())).unwrap()
    };
    let error = of("LOG_FORMAT", "xml").part::<Log>().unwrap_err().to_string();
    assert_eq!(error, "variable LOG_FORMAT: `xml` is not a log format; use text or json");
    let error = of("MQTT_URL", "mqtt://me:hunter2@broker").part::<MqttSettings>().unwrap_err().to_string();
    assert!(error.contains("MQTT_USERNAME") && !error.contains("hunter2"), "{error}");
}

#[test]
fn every_shared_key_is_its_variable_in_lower_case() {
    for setting in [MQTT, LOG].concat() {
        assert_eq!(setting.key, setting.variable.to_ascii_lowercase());
        assert!(setting.sentence.ends_with('.'), "{}", setting.key);
    }
}
