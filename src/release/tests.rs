//! Downloads from a server of the test's own, on loopback.

use std::os::unix::fs::PermissionsExt as _;

use radar_link::tasks::Owned;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;

const PROGRAM: &str = "#!/bin/sh\necho 'radar-agent 9.9.9 (abc)'\n";

/// A server that gives these answers, one a connection, the last for ever; `PORT` is its own.
async fn server(answers: &[&str]) -> (u16, Owned<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: Vec<String> = answers.iter().map(|answer| answer.replace("PORT", &port.to_string())).collect();
    let serving = Owned::spawn(async move {
        for at in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /"));
            let answer = &answers[at.min(answers.len() - 1)];
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, serving)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn digest(text: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(text.as_bytes());
    hasher.finish()
}

/// What comes of it, and whether something is left.
async fn fetched(answers: &[&str], body: &str) -> (Result<Box<str>, String>, bool) {
    let room = tempfile::tempdir().unwrap();
    let target = room.path().join("radar-agent");
    let (port, _serving) = server(answers).await;
    let address = format!("http://127.0.0.1:{port}/a/radar-agent?token=s3cret").parse().unwrap();
    let result = fetch(Order { address, digest: digest(body), target: target.clone() }, None).await;
    let left = std::fs::metadata(trial::staged(&target));
    if let Ok(left) = &left {
        assert_eq!(left.permissions().mode() & 0o777, 0o755);
    }
    (result.map_err(|error| error.to_string()), left.is_ok())
}

// DM13
#[tokio::test]
async fn a_program_is_fetched_whole_and_tells_its_version() {
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{PROGRAM}\r\n0\r\n\r\n", PROGRAM.len());
    let closed = format!("HTTP/1.0 200 OK\r\n\r\n{PROGRAM}");
    let there = ok(PROGRAM);
    let to = |location: &str| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    for answers in [
        &[&*there][..],
        &[&chunked],
        &[&closed],
        &[&to("/b"), &to("http://127.0.0.1:PORT/c"), &to("d"), &to("/e"), &to("/f"), &there],
    ] {
        assert_eq!(fetched(answers, PROGRAM).await, (Ok("9.9.9 (abc)".into()), true), "{answers:?}");
    }
}

// DM13, RR13
#[tokio::test]
async fn what_cannot_be_had_or_is_something_else_leaves_nothing() {
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LARGEST + 1);
    let redirect = "HTTP/1.1 301 Moved\r\nLocation: /again\r\n\r\n";
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{PROGRAM}", PROGRAM.len() + 1);
    let (failing, foreign, silent) = ("#!/bin/sh\nexit 3\n", "#!/bin/sh\necho something else\n", "");
    let other = "\x7fELF of another machine";
    let served = [ok(failing), ok(foreign), ok(silent), ok(other)];
    for (answer, body, word) in [
        (&*ok("other"), PROGRAM, "hash: "),
        (&large, PROGRAM, "too-large: "),
        (redirect, PROGRAM, "download: more than 5 redirects"),
        ("HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\n\r\n", PROGRAM, "download: a redirect: "),
        (missing, PROGRAM, "download: the server answers 404"),
        (&cut, PROGRAM, "download: the connection broke"),
        ("", PROGRAM, "download: "),
        ("nonsense\r\n\r\n", PROGRAM, "download: "),
        (&served[0], failing, "does-not-run: "),
        (&served[1], foreign, "does-not-run: "),
        (&served[2], silent, "does-not-run: "),
        (&served[3], other, "does-not-run: "),
    ] {
        let (result, left) = fetched(&[answer], body).await;
        let error = result.unwrap_err();
        assert!(error.starts_with(word) && !left, "{answer:?}: {error}, left: {left}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let room = tempfile::tempdir().unwrap();
    let address = "http://127.0.0.1:1/".parse().unwrap();
    let order = Order { address, digest: digest(""), target: room.path().join("none/radar-agent") };
    assert!(fetch(order, None).await.unwrap_err().to_string().starts_with("download: 127.0.0.1: "));
}

// DM13, E9
#[tokio::test]
async fn a_program_is_fetched_through_the_proxy_and_not_past_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy: ProxyUrl = format!("http://me:word@{}", listener.local_addr().unwrap()).parse().unwrap();
    let _serving = Owned::spawn(async move {
        for opens in [false, true] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let asked = String::from_utf8_lossy(&request[..length]).into_owned();
            assert!(asked.starts_with("CONNECT releases.invalid:80 HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("Proxy-Authorization: Basic bWU6d29yZA==\r\n"), "{asked}");
            let answer = if opens { "HTTP/1.1 200 OK\r\n\r\n" } else { "HTTP/1.1 403 No\r\n\r\n" };
            stream.write_all(answer.as_bytes()).await.unwrap();
            if opens {
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"GET /radar-agent HTTP/1.1\r\nHost: releases.invalid\r\n"));
                stream.write_all(ok(PROGRAM).as_bytes()).await.unwrap();
            }
        }
    });
    let room = tempfile::tempdir().unwrap();
    let order = || Order {
        // Only the proxy knows this name.
        address: "http://releases.invalid/radar-agent".parse().unwrap(),
        digest: digest(PROGRAM),
        target: room.path().join("radar-agent"),
    };
    let error = fetch(order(), Some(proxy.clone())).await.unwrap_err().to_string();
    assert!(
        error.starts_with("download: the proxy http://127.0.0.1:") && error.contains("releases.invalid:80"),
        "{error}"
    );
    assert_eq!(fetch(order(), Some(proxy)).await.unwrap(), "9.9.9 (abc)".into());
}
