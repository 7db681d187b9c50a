//! The JSON form of commands: what bridges have signed is read for ever, and what is signed now is read by agents that
//! were released before.

use radar_wire::command::{Command, Program, Prunable};

fn released() -> Vec<(Command, &'static str)> {
    let web = || Box::<str>::from("web");
    let program = Program { url: "https://x/y".into(), sha256: "ab".into(), signature: "c_d".into() };
    vec![
        (Command::Start { container: web() }, r#"{"do":"start","container":"web"}"#),
        (Command::Stop { container: web(), timeout: None }, r#"{"do":"stop","container":"web"}"#),
        (Command::Stop { container: web(), timeout: Some(0) }, r#"{"do":"stop","container":"web","timeout":0}"#),
        (Command::Restart { container: web(), timeout: None }, r#"{"do":"restart","container":"web"}"#),
        (
            Command::Restart { container: web(), timeout: Some(u32::MAX) },
            r#"{"do":"restart","container":"web","timeout":4294967295}"#,
        ),
        (Command::Kill { container: web(), signal: None }, r#"{"do":"kill","container":"web"}"#),
        (
            Command::Kill { container: web(), signal: Some("SIGHUP".into()) },
            r#"{"do":"kill","container":"web","signal":"SIGHUP"}"#,
        ),
        (Command::Pause { container: web() }, r#"{"do":"pause","container":"web"}"#),
        (Command::Unpause { container: web() }, r#"{"do":"unpause","container":"web"}"#),
        (Command::Rename { container: web(), to: "new".into() }, r#"{"do":"rename","container":"web","to":"new"}"#),
        (
            Command::Remove { container: web(), force: true, volumes: false },
            r#"{"do":"remove","container":"web","force":true,"volumes":false}"#,
        ),
        (Command::Inspect { container: web() }, r#"{"do":"inspect","container":"web"}"#),
        (Command::Top { container: web() }, r#"{"do":"top","container":"web"}"#),
        (Command::Images, r#"{"do":"images"}"#),
        (Command::Networks, r#"{"do":"networks"}"#),
        (Command::Volumes, r#"{"do":"volumes"}"#),
        (
            Command::Logs {
                container: web(),
                tail: None,
                since: None,
                until: None,
                timestamps: false,
                follow: true,
                limit: None,
            },
            r#"{"do":"logs","container":"web","timestamps":false,"follow":true}"#,
        ),
        (
            Command::Logs {
                container: web(),
                tail: Some(10),
                since: Some(-1),
                until: Some(i64::MAX),
                timestamps: true,
                follow: false,
                limit: Some(u64::MAX),
            },
            r#"{"do":"logs","container":"web","tail":10,"since":-1,"until":9223372036854775807,"timestamps":true,"follow":false,"limit":18446744073709551615}"#,
        ),
        (Command::Cancel { jti: "01-1".into() }, r#"{"do":"cancel","jti":"01-1"}"#),
        (Command::Stats { seconds: 60, interval: None }, r#"{"do":"stats","seconds":60}"#),
        (Command::Stats { seconds: 60, interval: Some(5) }, r#"{"do":"stats","seconds":60,"interval":5}"#),
        (Command::Pull { image: "a:1".into() }, r#"{"do":"pull","image":"a:1"}"#),
        (
            Command::RemoveImage { image: "a:1".into(), force: false },
            r#"{"do":"remove-image","image":"a:1","force":false}"#,
        ),
        (
            Command::CreateNetwork { network: "n".into(), driver: None, internal: false },
            r#"{"do":"create-network","network":"n","internal":false}"#,
        ),
        (
            Command::CreateNetwork { network: "n".into(), driver: Some("bridge".into()), internal: true },
            r#"{"do":"create-network","network":"n","driver":"bridge","internal":true}"#,
        ),
        (Command::RemoveNetwork { network: "n".into() }, r#"{"do":"remove-network","network":"n"}"#),
        (Command::CreateVolume { volume: "v".into(), driver: None }, r#"{"do":"create-volume","volume":"v"}"#),
        (
            Command::CreateVolume { volume: "v".into(), driver: Some("local".into()) },
            r#"{"do":"create-volume","volume":"v","driver":"local"}"#,
        ),
        (Command::RemoveVolume { volume: "v".into() }, r#"{"do":"remove-volume","volume":"v"}"#),
        (prune(Prunable::Containers, false), r#"{"do":"prune","what":"containers","all":false}"#),
        (prune(Prunable::Images, true), r#"{"do":"prune","what":"images","all":true}"#),
        (prune(Prunable::Networks, false), r#"{"do":"prune","what":"networks","all":false}"#),
        (prune(Prunable::Volumes, true), r#"{"do":"prune","what":"volumes","all":true}"#),
        (
            Command::Update { container: web(), image: None, dry_run: false, patience: None },
            r#"{"do":"update","container":"web","dry_run":false}"#,
        ),
        (
            Command::Update { container: web(), image: Some("a:2".into()), dry_run: true, patience: Some(60) },
            r#"{"do":"update","container":"web","image":"a:2","dry_run":true,"patience":60}"#,
        ),
        (Command::SelfUpdate { image: None, program: None, patience: None }, r#"{"do":"self-update"}"#),
        (
            Command::SelfUpdate { image: Some("a:2".into()), program: Some(program), patience: Some(60) },
            r#"{"do":"self-update","image":"a:2","program":{"url":"https://x/y","sha256":"ab","signature":"c_d"},"patience":60}"#,
        ),
    ]
}

fn prune(what: Prunable, all: bool) -> Command {
    Command::Prune { what, all }
}

// E13
#[test]
fn commands_are_written_and_read_as_released() {
    for (command, text) in released() {
        assert_eq!(serde_json::to_string(&command).unwrap(), text);
        assert_eq!(read(text), Ok(command), "{text}");
        assert!(text.contains(&format!(r#""do":"{}""#, read(text).unwrap().word())), "{text}");
    }
}

// E13
#[test]
fn what_a_command_does_not_say_is_absent_and_what_is_too_much_is_passed_over() {
    let table = [
        (r#"{"container":"web","do":"start"}"#, r#"{"do":"start","container":"web"}"#),
        (r#"{"do":"start","container":"web","to":5,"new":{"x":[1.5]}}"#, r#"{"do":"start","container":"web"}"#),
        (r#"{"do":"images","container":5,"force":"maybe"}"#, r#"{"do":"images"}"#),
        (r#"{"do":"stop","container":"web","timeout":null}"#, r#"{"do":"stop","container":"web"}"#),
        (r#"{"do":"remove","container":"web"}"#, r#"{"do":"remove","container":"web","force":false,"volumes":false}"#),
        (r#"{"do":"logs","container":"web"}"#, r#"{"do":"logs","container":"web","timestamps":false,"follow":false}"#),
        (r#"{"do":"prune","what":"images"}"#, r#"{"do":"prune","what":"images","all":false}"#),
        (r#"{"do":"update","container":"web"}"#, r#"{"do":"update","container":"web","dry_run":false}"#),
        (r#"{"do":"self-update","program":null}"#, r#"{"do":"self-update"}"#),
        (r#"{"do":"dance"}"#, r#"{"do":"unknown"}"#),
        (r#"{"do":"dance","container":5,"program":"x","what":[]}"#, r#"{"do":"unknown"}"#),
        (r#"{"do":"Start","container":"web"}"#, r#"{"do":"unknown"}"#),
    ];
    for (text, expect) in table {
        assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), expect, "{text}");
    }
}

// E13
#[test]
fn what_is_no_command_is_refused_with_the_field() {
    let table = [
        (r"{}", "do"),
        (r#"{"container":"web"}"#, "do"),
        (r#"{"do":null}"#, ""),
        (r#"{"do":["start"],"container":"web"}"#, ""),
        (r#""start""#, ""),
        (r#"{"do":"start"}"#, "missing field `container`"),
        (r#"{"do":"start","container":null}"#, ""),
        (r#"{"do":"start","container":5}"#, ""),
        (r#"{"do":"stop","container":"web","timeout":-1}"#, ""),
        (r#"{"do":"stop","container":"web","timeout":4294967296}"#, ""),
        (r#"{"do":"stop","container":"web","timeout":1.5}"#, ""),
        (r#"{"do":"stop","container":"web","timeout":"1"}"#, ""),
        (r#"{"do":"remove","container":"web","force":null}"#, ""),
        (r#"{"do":"remove","container":"web","force":1}"#, ""),
        (r#"{"do":"stats"}"#, "missing field `seconds`"),
        (r#"{"do":"prune","what":"everything"}"#, ""),
        (r#"{"do":"self-update","program":{"url":"https://x/y"}}"#, "missing field `sha256`"),
    ];
    for (text, expect) in table {
        let error = read(text).unwrap_err();
        assert!(error.contains(expect), "{text}: {error}");
    }
}

fn read(text: &str) -> Result<Command, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}
