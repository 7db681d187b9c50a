//! What the owner reads when the broker cannot be reached or does not want us.

use std::io::{Read, Write};
use std::time::Duration;

use radar_link::mqtt::{Delivery, Notice, Reason, Settings};
use radar_link::secret::Secret;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::broker::{Broker, client, free_port};
use crate::owner::{connected, delivered, disconnected, message, start, until};

async fn guarded() -> Broker {
    let room = tempfile::tempdir().unwrap();
    let passwords = room.path().join("passwords");
    let made = Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(&passwords).args(["host", "right"]).status();
    assert!(made.await.unwrap().success());
    std::fs::write(room.path().join("acl"), "user host\ntopic readwrite open/#\n").unwrap();
    Broker::in_room(room, "allow_anonymous false\npassword_file {room}/passwords\nacl_file {room}/acl\n").await
}

fn account(settings: Settings, password: &str) -> Settings {
    Settings { username: Some("host".to_owned()), password: Some(Secret::new(password)), ..settings }
}

// DM1, DM19
#[tokio::test]
async fn a_wrong_password_names_the_settings_and_does_not_show_itself() {
    let broker = guarded().await;
    for (settings, words) in [
        (account(broker.client("host"), "wrong"), ["`host`", "MQTT_PASSWORD"]),
        (broker.client("host"), ["without an account", "MQTT_USERNAME"]),
    ] {
        let reason = disconnected(&mut start(settings)).await;
        let text = reason.to_string();
        assert!(matches!(reason, Reason::Refused(_)), "{reason:?}");
        assert!(words.iter().all(|word| text.contains(word)) && !text.contains("wrong"), "{text}");
    }
    connected(&mut start(account(broker.client("host"), "right"))).await;
}

// E8
#[tokio::test]
async fn what_the_access_rules_deny_is_refused_and_not_retried() {
    let broker = guarded().await;
    let subscriptions = vec!["open/in".to_owned(), "closed/in".to_owned()];
    let mut host = start(Settings { subscriptions, ..account(broker.client("host"), "right") });
    connected(&mut host).await;
    host.publish(1, message("closed/out", "x")).unwrap();
    host.publish(2, message("open/out", "x")).unwrap();
    match delivered(&mut host).await {
        (1, Delivery::Refused(why)) => assert!(why.contains("access rules"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(delivered(&mut host).await, (2, Delivery::NoSubscriber));
}

// DM19
#[tokio::test]
async fn a_broker_that_is_not_there_names_the_address() {
    let port = free_port();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let closing = closes_at_once();
    for (url, words) in [
        (
            format!("mqtt://127.0.0.1:{port}"),
            [format!("nothing listens at mqtt://127.0.0.1:{port}"), "MQTT_URL".into()],
        ),
        ("mqtt://no-such-host.invalid".into(), ["`no-such-host.invalid` cannot be resolved".into(), "DNS".into()]),
        (format!("mqtt://127.0.0.1:{silent_port}"), ["no answer from".into(), "within 1 s".into()]),
        (format!("mqtt://127.0.0.1:{closing}"), ["without an answer".into(), "mqtts://".into()]),
        (format!("ws://127.0.0.1:{port}"), ["nothing listens at ws://".into(), "/mqtt".into()]),
    ] {
        let mut settings = client(&url, "host");
        settings.reconnect.timeout = Duration::from_secs(1);
        let reason = disconnected(&mut start(settings)).await;
        let text = reason.to_string();
        assert!(matches!(reason, Reason::Network(_)), "{reason:?}");
        assert!(words.iter().all(|word| text.contains(word)), "{url}: {text}");
    }
}

/// A listener that takes connections and closes them after the first bytes.
fn closes_at_once() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    port
}

// DM3
#[tokio::test]
async fn attempts_go_on_until_the_broker_is_there() {
    let mut broker = Broker::start().await;
    let settings = broker.client("host");
    broker.kill().await;
    let mut host = start(settings);
    for _ in 0..4 {
        disconnected(&mut host).await;
    }
    broker.run().await;
    connected(&mut host).await;
}

/// A broker that accepts a client, hears it out and ends the connection with these bytes.
fn ends_with(packet: &'static [u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&[0x20, 3, 0, 0, 0]);
            if packet[0] == 0x40 {
                // An acknowledgement comes after a message.
                let _ = stream.read(&mut [0; 1024]);
            }
            let _ = stream.write_all(packet);
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    port
}

// DM2, DM19
#[tokio::test]
async fn a_broker_that_says_why_it_ends_the_connection_is_heard() {
    let ended = |port| async move {
        let mut host = start(client(&format!("mqtt://127.0.0.1:{port}"), "twin"));
        until(&mut host, |notice| match notice {
            Notice::Disconnected { reason, retry_in } => Some((reason, retry_in)),
            _ => None,
        })
        .await
    };
    let (reason, retry_in) = ended(ends_with(&[0xe0, 2, 0x8e, 0])).await;
    assert_eq!(reason, Reason::TakenOver { client_id: "twin".to_owned(), certain: true });
    assert!(retry_in >= Duration::from_secs(240), "{retry_in:?}");

    let (reason, retry_in) = ended(ends_with(&[0xe0, 2, 0x8b, 0])).await;
    assert_eq!(reason, Reason::Server("the broker is shutting down".to_owned()));
    assert!(retry_in <= Duration::from_secs(1), "{retry_in:?}");

    let (reason, _) = ended(ends_with(&[0xe0, 10, 0x98, 8, 0x1f, 0, 5, b'p', b'a', b'u', b's', b'e'])).await;
    let text = "the broker's administrator has ended the connection: pause";
    assert_eq!(reason, Reason::Server(text.to_owned()));
}

// E1: otherwise the owner would publish it again.
#[tokio::test]
async fn an_acknowledgement_that_came_with_the_end_still_counts() {
    let port = ends_with(&[0x40, 2, 0, 1, 0xe0, 2, 0x8b, 0]);
    let mut host = start(client(&format!("mqtt://127.0.0.1:{port}"), "host"));
    connected(&mut host).await;
    host.publish(77, message("last", "words")).unwrap();
    let first = until(&mut host, Some).await;
    assert_eq!(first, Notice::Delivered { key: 77, outcome: Delivery::Accepted });
    assert_eq!(disconnected(&mut host).await, Reason::Server("the broker is shutting down".to_owned()));
}
