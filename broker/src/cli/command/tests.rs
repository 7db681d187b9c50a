use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::thread;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn parsed(line: &str) -> Arguments {
    Line::try_parse_from(format!("command {line}").split(' ')).unwrap().arguments
}

// E6
#[test]
fn what_is_typed_becomes_the_command() {
    for (line, json) in [
        ("pi start web", r#"{"do":"start","container":"web"}"#),
        ("pi stop web --timeout 5", r#"{"do":"stop","container":"web","timeout":5}"#),
        ("pi restart web", r#"{"do":"restart","container":"web"}"#),
        ("pi kill web --signal HUP", r#"{"do":"kill","container":"web","signal":"HUP"}"#),
        ("pi pause web", r#"{"do":"pause","container":"web"}"#),
        ("pi unpause web", r#"{"do":"unpause","container":"web"}"#),
        ("pi rename web --to web2", r#"{"do":"rename","container":"web","to":"web2"}"#),
        ("pi remove web --force", r#"{"do":"remove","container":"web","force":true,"volumes":false}"#),
        ("pi remove web --volumes", r#"{"do":"remove","container":"web","force":false,"volumes":true}"#),
        ("pi inspect web", r#"{"do":"inspect","container":"web"}"#),
        ("pi top web", r#"{"do":"top","container":"web"}"#),
        ("pi images", r#"{"do":"images"}"#),
        ("pi networks", r#"{"do":"networks"}"#),
        ("pi volumes", r#"{"do":"volumes"}"#),
    ] {
        let request = parsed(line).request().unwrap();
        assert_eq!(serde_json::to_string(&request.cmd).unwrap(), json);
        assert_eq!((request.agent.as_str(), request.valid, request.name), ("pi", 60, None));
    }
    let request = parsed("pi images --valid 2m --as Ann").request().unwrap();
    assert_eq!((request.valid, request.name.as_deref()), (120, Some("Ann")));
}

// DM4
#[test]
fn an_answer_is_waited_for_longer_than_the_bridge_waits() {
    for (line, bridge) in [("pi start web", 60), ("pi images --valid 2m", 60), ("pi stop web --timeout 300", 390)] {
        let request = parsed(line).request().unwrap();
        assert!(longest_silence(&request) > Duration::from_secs(request.valid + bridge), "{line}");
    }
}

#[test]
fn what_does_not_fit_together_is_said_before_anybody_is_asked() {
    for (line, error) in [
        ("pi start", UsageError::NoContainer),
        ("pi images web", UsageError::Container("images")),
        ("pi start web --timeout 5", UsageError::Option("--timeout", "start")),
        ("pi stop web --signal HUP", UsageError::Option("--signal", "stop")),
        ("pi kill web --force", UsageError::Option("--force", "kill")),
        ("pi volumes --volumes", UsageError::Option("--volumes", "volumes")),
        ("pi top web --to x", UsageError::Option("--to", "top")),
        ("pi rename web", UsageError::NoName),
        ("pi images --valid 6m", UsageError::Valid),
        ("pi images --valid 500ms", UsageError::Valid),
    ] {
        assert_eq!(parsed(line).request().unwrap_err(), error, "{line}");
    }
    assert!(Line::try_parse_from(["command", "pi", "fly", "web"]).is_err());
}

/// What is printed, what is complained of and the exit code when the bridge answers so.
fn answered(line: &str, answer: &'static str) -> (String, String, u8) {
    let room = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket(room.path())).unwrap();
    let bridge = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        let mut request = [0; 4096];
        let size = stream.read(&mut request).unwrap();
        serde_json::from_slice::<Request>(&request[..size]).unwrap();
    });
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = ask(room.path(), &parsed(line), &mut out, &mut errors).unwrap();
    bridge.join().unwrap();
    (String::from_utf8(out).unwrap(), String::from_utf8(errors).unwrap(), code)
}

// E6
#[test]
fn the_answers_are_told_and_the_last_is_the_exit_code() {
    let answer = "{\"jti\":\"1-a\"}\n\
                  {\"jti\":\"1-a\",\"at\":1795228544500,\"state\":\"accepted\"}\n\
                  {\"jti\":\"1-a\",\"at\":1795228545500,\"state\":\"succeeded\",\"result\":{\"was\":\"running\"}}\n";
    let (out, errors, code) = answered("pi stop web", answer);
    assert_eq!(
        out,
        "command 1-a\n2026-11-21T02:35:44.500Z  accepted\n2026-11-21T02:35:45.500Z  succeeded\n\
         {\n  \"was\": \"running\"\n}\n"
    );
    assert_eq!((&*errors, code), ("", 0));
    assert_eq!(answered("pi stop web --json", answer), (answer.to_owned(), String::new(), 0));
    for (answer, wanted) in [
        (r#"{"jti":"1-a","at":0,"state":"refused","reason":"not allowed"}"#, 2),
        (r#"{"jti":"1-a","at":0,"state":"failed","reason":"no such container"}"#, 3),
        (r#"{"jti":"1-a","at":0,"state":"unknown"}"#, 4),
        (r#"{"jti":"1-a","at":0,"state":"of a later version"}"#, 4),
    ] {
        assert_eq!(answered("pi stop web", answer).2, wanted, "{answer}");
    }
    let (_, errors, code) = answered("pi stop web", r#"{"error":"no agent pi is known"}"#);
    assert_eq!((&*errors, code), ("radar-bridge: no agent pi is known\n", 2));
}

// E6
#[test]
fn a_bridge_that_goes_away_leaves_it_unknown_and_none_is_a_failure() {
    let (out, errors, code) = answered("pi stop web", "{\"jti\":\"1-a\"}\n");
    assert_eq!((&*out, code), ("command 1-a\n", 4));
    assert!(errors.contains("`radar-bridge audit` shows how it ends"), "{errors}");
    let room = tempfile::tempdir().unwrap();
    let error = ask(room.path(), &parsed("pi images"), &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").contains("control.sock; start it, and run this as its user"), "{error:#}");
}

// E13
#[test]
fn what_an_agent_says_cannot_drive_the_terminal() {
    let (out, _, _) = answered(
        "pi top web",
        r#"{"jti":"1-a","at":0,"state":"failed","reason":"a\u001b[2Jb\u009b","result":["\u001b]0;x\u0007","\u202e"]}"#,
    );
    assert!(!out.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}']), "{out:?}");
    assert!(out.contains("a\u{fffd}[2Jb\u{fffd}"), "{out:?}");
}
