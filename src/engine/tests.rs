//! An engine of the test's own, which dies at the worst time.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::*;

const EVENTS: usize = 60;

async fn question(stream: &mut UnixStream) -> String {
    let mut bytes = [0; 4096];
    let size = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

async fn answer(mut stream: UnixStream, body: &str) {
    let length = body.len();
    let text = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    // Who asks may have seen enough.
    stream.write_all(text.as_bytes()).await.unwrap_or_default();
}

fn event(number: usize) -> String {
    let id = "4f".repeat(32);
    let event = format!(
        r#"{{"Type":"container","Action":"pause","Actor":{{"ID":"{id}","Attributes":{{"name":"web"}}}},"time":1,"timeNano":{number}}}"#
    );
    format!("{:x}\r\n{event}\n\r\n", event.len() + 1)
}

/// Dies when it is asked for the list, before it answers that, and has just said all of this. What it said can be read;
/// whether that was the end, only `cut` tells.
async fn dying(listener: UnixListener, cut: bool) -> Option<UnixStream> {
    let (mut reader, mut asked) = (None, None);
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let question = question(&mut stream).await;
        if question.contains("/events?since=radar") {
            // Whether it is denied.
            answer(stream, "").await;
        } else if question.contains("/events") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            reader = Some(stream);
        } else if question.contains("/containers/json") {
            asked = Some(stream);
        } else {
            answer(stream, r#"{"Version":"20.10.0","ApiVersion":"1.41"}"#).await;
        }
        if reader.is_some() && asked.is_some() {
            let said: String = (1..=EVENTS).map(event).collect();
            let mut reader = reader.take()?;
            reader.write_all(said.as_bytes()).await.unwrap();
            return Some(reader).filter(|_| !cut);
        }
    }
}

// E1, DM7
#[tokio::test]
async fn what_an_engine_said_before_it_died_is_read_to_its_end() {
    // Who reads may be slow, as where each event is written to a slow disk.
    let slow = (QUIET * 3 / 2) / u32::try_from(EVENTS).unwrap();
    for (cut, pause) in [(true, None), (true, None), (true, None), (false, Some(slow))] {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let host = Some(format!("unix://{}", socket.display()));
        let address = Address::parse(Environment { host, ..Environment::default() }).unwrap();
        let (labels, registries, actions) = (Vec::new(), Registries::default(), Vec::new());
        let settings = Settings { address, labels, time_out: Duration::from_secs(5), registries, actions };
        let mut engine = Engine::start(settings, None, None);
        let (mut told, mut up) = (0, false);
        let reading = async {
            loop {
                match engine.next().await {
                    Notice::Up(_) => {
                        up = true;
                        engine.list(1);
                    }
                    Notice::Event(_) => {
                        told += 1;
                        pause.into_iter().for_each(std::thread::sleep);
                    }
                    Notice::Down { .. } if up => return,
                    _ => {}
                }
            }
        };
        let both = async { tokio::join!(dying(listener, cut), reading) };
        tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
        assert_eq!(told, EVENTS);
    }
}
