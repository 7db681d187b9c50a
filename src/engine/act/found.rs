//! What the engine has found, as values that may leave the host: without what may hold secrets, and bounded.

use std::io;

use ciborium::Value;
use serde_json::Value as Json;

use super::super::moment;
use super::super::record::{Labels, cut_to};
use super::{ActError, ActErrorKind};

/// The most bytes of an inspect's answer.
const LARGEST: usize = 128 * 1024;

/// The most bytes of a list's entries.
const MOST_BYTES: usize = 192 * 1024;

pub(super) const MOST_ENTRIES: usize = 1000;
const MOST_PROCESSES: usize = 500;
const MOST_TAGS: usize = 32;
const LONGEST_OUTPUT: usize = 200;
const LONGEST_TEXT: usize = 256;

/// All of an inspect but what may be a secret: values of the environment, of labels that are not shown, of options for
/// drivers (a volume's may have a password, a log's a token), and the end of long outputs of health checks.
pub(super) fn inspected(mut answer: Json, labels: &Labels) -> Result<Value, ActError> {
    for variable in entries(&mut answer, "/Config/Env") {
        if let Json::String(variable) = variable {
            variable.truncate(variable.find('=').unwrap_or(variable.len()));
        }
    }
    if let Some(Json::Object(all)) = answer.pointer_mut("/Config/Labels") {
        all.iter_mut().filter(|(label, _)| !labels.shown(label)).for_each(|(_, value)| *value = "".into());
    }
    clear(&mut answer, "/HostConfig/LogConfig/Config");
    clear(&mut answer, "/HostConfig/Annotations");
    for mount in entries(&mut answer, "/HostConfig/Mounts") {
        clear(mount, "/VolumeOptions/DriverConfig/Options");
        clear(mount, "/VolumeOptions/Labels");
    }
    for endpoint in entries(&mut answer, "/NetworkSettings/Networks") {
        clear(endpoint, "/DriverOpts");
    }
    for check in entries(&mut answer, "/State/Health/Log") {
        if let Some(Json::String(output)) = check.pointer_mut("/Output") {
            *output = cut_to(output, LONGEST_OUTPUT).into();
        }
    }
    let found = carried(&answer);
    if size(&found) > LARGEST { Err(failed("too large to send")) } else { Ok(found) }
}

pub(super) fn top(answer: &Json) -> Value {
    let row = |cells: &Json| Value::Array(texts(cells).map(text).collect());
    let processes = answer["Processes"].as_array().into_iter().flatten().map(row);
    let (processes, cut) = bounded(processes, MOST_PROCESSES);
    map([("titles", Some(row(&answer["Titles"]))), ("processes", Some(processes)), ("truncated", cut)])
}

pub(super) fn images(all: &[Json]) -> Value {
    let entry = |image: &Json| {
        let tags = texts(&image["RepoTags"]).filter(|tag| *tag != "<none>:<none>").take(MOST_TAGS);
        map([
            ("id", shown(&image["Id"])),
            ("tags", Some(tags.map(text).collect::<Vec<_>>().into())),
            ("size", counted(&image["Size"]).map(Value::from)),
            ("created", image["Created"].as_i64().and_then(|seconds| seconds.checked_mul(1000)).map(Value::from)),
            ("in_use", counted(&image["Containers"]).map(|number| (number > 0).into())),
        ])
    };
    let (images, cut) = bounded(all.iter().map(entry), MOST_ENTRIES);
    map([("images", Some(images)), ("truncated", cut)])
}

pub(super) fn networks(mut all: Vec<Json>) -> Value {
    sort_by_name(&mut all);
    let entry = |network: &Json| {
        map([
            ("id", shown(&network["Id"])),
            ("name", shown(&network["Name"])),
            ("driver", shown(&network["Driver"])),
            ("scope", shown(&network["Scope"])),
            ("internal", network["Internal"].as_bool().map(Value::from)),
            ("created", network["Created"].as_str().and_then(moment::milliseconds).map(Value::from)),
        ])
    };
    let (networks, cut) = bounded(all.iter().map(entry), MOST_ENTRIES);
    map([("networks", Some(networks)), ("truncated", cut)])
}

pub(super) fn volumes(mut answer: Json) -> Value {
    let mut all = match answer.pointer_mut("/Volumes").map(Json::take) {
        Some(Json::Array(all)) => all,
        _ => Vec::new(),
    };
    sort_by_name(&mut all);
    let entry = |volume: &Json| {
        let usage = &volume["UsageData"];
        map([
            ("name", shown(&volume["Name"])),
            ("driver", shown(&volume["Driver"])),
            ("scope", shown(&volume["Scope"])),
            ("created", volume["CreatedAt"].as_str().and_then(moment::milliseconds).map(Value::from)),
            ("size", counted(&usage["Size"]).map(Value::from)),
            ("in_use", counted(&usage["RefCount"]).map(|number| (number > 0).into())),
        ])
    };
    let (volumes, cut) = bounded(all.iter().map(entry), MOST_ENTRIES);
    map([("volumes", Some(volumes)), ("truncated", cut)])
}

/// As many entries as may be sent, and whether any are left out.
pub(super) fn bounded(all: impl Iterator<Item = Value>, most: usize) -> (Value, Option<Value>) {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for entry in all {
        bytes = size(&entry).saturating_add(bytes);
        if kept.len() == most || bytes > MOST_BYTES {
            return (kept.into(), Some(true.into()));
        }
        kept.push(entry);
    }
    (kept.into(), None)
}

/// A number that the engine has not counted is -1.
fn counted(number: &Json) -> Option<u64> {
    number.as_u64()
}

/// The same as the contract has it; what is null is left away.
fn carried(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.as_f64().map_or(Value::Null, Value::Float),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(all) => Value::Array(all.iter().map(carried).collect()),
        Json::Object(all) => {
            let known = all.iter().filter(|(_, value)| !value.is_null());
            Value::Map(known.map(|(name, value)| (name.as_str().into(), carried(value))).collect())
        }
    }
}

pub(super) fn map<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    Value::Map(fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect())
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(cut_to(text, LONGEST_TEXT).into())
}

pub(super) fn shown(found: &Json) -> Option<Value> {
    found.as_str().map(text)
}

pub(super) fn texts(list: &Json) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str)
}

fn sort_by_name(all: &mut [Json]) {
    let key = |one: &Json| (one["Name"].as_str().map(str::to_owned), one["Id"].as_str().map(str::to_owned));
    all.sort_by_cached_key(key);
}

/// What is in a list or in a map.
fn entries<'a>(found: &'a mut Json, pointer: &str) -> Vec<&'a mut Json> {
    match found.pointer_mut(pointer) {
        Some(Json::Array(all)) => all.iter_mut().collect(),
        Some(Json::Object(all)) => all.values_mut().collect(),
        _ => Vec::new(),
    }
}

fn clear(found: &mut Json, pointer: &str) {
    entries(found, pointer).into_iter().for_each(|value| *value = "".into());
}

fn failed(why: &str) -> ActError {
    ActError { kind: ActErrorKind::Engine, text: why.into() }
}

fn size(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be encoded cannot be sent either.
    ciborium::into_writer(value, &mut count).map_or(usize::MAX, |()| count.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
        value.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
    }

    fn count(value: &Value, name: &str) -> Option<usize> {
        Some(field(value, name)?.as_array()?.len())
    }

    // DM16
    #[test]
    fn a_list_is_cut_at_its_number_of_entries_and_at_its_size() {
        let volumes_of = |number: usize, name: &str| {
            let volume = |n: usize| json!({ "Name": format!("{n:04}{name}") });
            volumes(json!({ "Volumes": (0..number).rev().map(volume).collect::<Vec<_>>() }))
        };
        let whole = volumes_of(MOST_ENTRIES, "");
        assert_eq!((count(&whole, "volumes"), field(&whole, "truncated")), (Some(MOST_ENTRIES), None));
        let longer = volumes_of(MOST_ENTRIES + 1, "");
        assert_eq!((count(&longer, "volumes"), field(&longer, "truncated")), (Some(MOST_ENTRIES), Some(&true.into())));
        let first = &field(&whole, "volumes").unwrap().as_array().unwrap()[0];
        assert_eq!(field(first, "name"), Some(&"0000".into()));
        let larger = volumes_of(MOST_ENTRIES, &"x".repeat(300));
        assert_eq!(field(&larger, "truncated"), Some(&true.into()));
        assert!((MOST_BYTES - 1000..MOST_BYTES + 100).contains(&size(&larger)), "{}", size(&larger));
    }

    // DM5
    #[test]
    fn processes_are_cut_at_their_number() {
        let processes = vec![vec!["1".to_owned(), "x".repeat(300)]; MOST_PROCESSES + 1];
        let found = top(&json!({ "Titles": ["PID"], "Processes": processes }));
        assert_eq!((count(&found, "processes"), field(&found, "truncated")), (Some(500), Some(&true.into())));
        assert!(size(&found) < MOST_BYTES);
    }

    // DM16
    #[test]
    fn what_the_engine_has_not_counted_is_absent() {
        let image = |containers: i64| json!({ "Size": 5, "Containers": containers });
        let found = images(&[image(-1), image(0), image(2)]);
        let entries = field(&found, "images").unwrap().as_array().unwrap();
        let in_use: Vec<_> = entries.iter().map(|entry| field(entry, "in_use").cloned()).collect();
        assert_eq!(in_use, [None, Some(false.into()), Some(true.into())]);
    }

    // DM9
    #[test]
    fn an_inspect_hides_what_may_be_a_secret_wherever_it_is() {
        let secret = "hunter2";
        let options = json!({ "password": secret });
        let found = inspected(
            json!({
                "Id": "a",
                "Driver": null,
                "Config": {
                    "Env": [format!("PASSWORD={secret}"), "EMPTY="],
                    "Labels": { "token": secret, "radar.room": "cellar" },
                },
                "HostConfig": {
                    "LogConfig": { "Type": "splunk", "Config": options },
                    "Annotations": options,
                    "Mounts": [{ "VolumeOptions": { "DriverConfig": { "Options": options }, "Labels": options } }],
                    "Memory": -1,
                    "NewInEngine99": [1, 2.5, true],
                },
                "NetworkSettings": { "Networks": { "shop": { "DriverOpts": options, "IPAddress": "10.0.0.2" } } },
                "State": { "Health": { "Log": [{ "Output": format!("{}{secret}", "x".repeat(300)) }] } },
            }),
            &Labels::new(&[]),
        )
        .unwrap();
        let text = serde_json::to_string(&found).unwrap();
        assert!(!text.contains(secret), "{text}");
        for kept in [
            r#""Env":["PASSWORD","EMPTY"]"#,
            r#""radar.room":"cellar""#,
            r#""token":"""#,
            r#""Type":"splunk""#,
            r#""IPAddress":"10.0.0.2""#,
            r#""Memory":-1"#,
            r#""NewInEngine99":[1,2.5,true]"#,
        ] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
        assert!(!text.contains("Driver\":null"), "{text}");
    }

    #[test]
    fn no_answer_is_too_odd() {
        let odd = [json!(null), json!("text"), json!([[1]]), json!({ "Config": 1, "HostConfig": "x", "Volumes": {} })];
        for answer in odd {
            let _ = (top(&answer), images(std::slice::from_ref(&answer)), networks(vec![answer.clone()]));
            let _ = (volumes(answer.clone()), inspected(answer, &Labels::new(&[])));
        }
    }
}
