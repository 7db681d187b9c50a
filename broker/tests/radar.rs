//! The built program `radar`: what only a process has, its exit codes, pipes and signals.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

const KEY: &str = "radar_0123abcd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-";

fn radar(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_radar"));
    command.args(arguments).env_clear().env("RADAR_URL", url).env("RADAR_KEY", KEY).stdin(Stdio::null());
    command
}

fn ran(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Answers the first request with these bytes, and then keeps the connection until the other end leaves it.
fn bridge(answer: String) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = BufReader::new(connection.try_clone().unwrap());
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            request.read_line(&mut line).unwrap();
        }
        // Who has gone meanwhile reads no more.
        let _ = connection.write_all(answer.as_bytes());
        let _ = request.read_to_end(&mut Vec::new());
    });
    (url, serving)
}

fn stream(events: &str) -> String {
    let size = events.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{events}\r\n"
    )
}

#[test]
fn the_exit_code_says_what_went_wrong() {
    let help = ran(radar("", &["--help"]));
    assert!(help.0 == 0 && help.1.contains("Exit codes:") && help.2.is_empty(), "{help:?}");
    let usage = ran(radar("", &["start"]));
    assert!(usage.0 == 2 && usage.1.is_empty() && usage.2.contains("AGENT/CONTAINER"), "{usage:?}");
    let mut command = radar("http://127.0.0.1:1", &["agents"]);
    command.env_remove("RADAR_KEY");
    let no_key = ran(command);
    assert!(no_key.0 == 6 && no_key.2.starts_with("radar: there is no key: "), "{no_key:?}");
    let away = ran(radar("http://127.0.0.1:1", &["agents"]));
    assert!(away.0 == 5 && away.2.starts_with("radar: cannot reach the bridge at http://127.0.0.1:1/: "), "{away:?}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let piece = format!("event: log\ndata: {{\"stream\":\"stdout\",\"text\":\"{}\\n\"}}\n\n", "x".repeat(1000));
    let (url, serving) = bridge(stream(&piece.repeat(1000)));
    let mut command = radar(&url, &["logs", "-f", "pi/web"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    serving.join().unwrap();
}

// PS4
#[test]
fn an_interrupt_ends_following_and_leaves_the_stream() {
    let (url, serving) = bridge(stream("event: log\ndata: {\"stream\":\"stdout\",\"text\":\"one\\n\"}\n\n"));
    let mut command = radar(&url, &["logs", "-f", "pi/web"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "one\n");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    serving.join().unwrap();
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
