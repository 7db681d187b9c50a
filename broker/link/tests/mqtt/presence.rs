//! Wills, goodbyes, connection numbers, and two clients with one id.

use std::io::{Read, Write};
use std::time::Duration;

use radar_link::mqtt::{DisconnectError, Message, Notice, Reason, Session, Settings, Will, Wills};
use tokio::time::timeout;

use crate::broker::{Broker, free_port};
use crate::owner::until;
use crate::owner::{DEADLINE, connected, delivered, disconnected, message, received, start, subscribed};

fn wills(delay: Duration) -> Wills {
    Box::new(move |number| {
        let message = Message {
            retain: true,
            content_type: Some("application/cbor"),
            ..message("status", format!("lost {number}"))
        };
        Some(Will { message, delay })
    })
}

async fn watcher(broker: &Broker) -> Session {
    let mut watcher = start(Settings { subscriptions: vec!["status".to_owned()], ..broker.client("watcher") });
    subscribed(&mut watcher).await;
    watcher
}

fn with_session(broker: &Broker) -> Settings {
    Settings { session_expiry: Duration::from_secs(60), ..broker.client("host") }
}

// E2, RR8
#[tokio::test]
async fn a_dropped_session_leaves_its_will_after_the_delay() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let mut host = Session::start(with_session(&broker), wills(Duration::from_secs(2))).unwrap();
    let number = connected(&mut host).await;
    drop(host);
    assert!(timeout(Duration::from_millis(800), watcher.next()).await.is_err(), "the will came at once");
    let will = received(&mut watcher).await;
    assert_eq!(will.payload, format!("lost {number}"));
    assert_eq!(will.content_type.as_deref(), Some("application/cbor"));
}

// E2, DM3
#[tokio::test]
async fn a_reconnect_within_the_delay_leaves_no_will() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let mut host = Session::start(with_session(&broker), wills(Duration::from_secs(1))).unwrap();
    connected(&mut host).await;
    drop(host);
    let mut host = Session::start(with_session(&broker), wills(Duration::from_secs(1))).unwrap();
    connected(&mut host).await;
    assert!(timeout(Duration::from_millis(2500), watcher.next()).await.is_err());
}

// RR8
#[tokio::test]
async fn a_goodbye_leaves_no_will_and_flushes_what_was_published() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let mut host = Session::start(with_session(&broker), wills(Duration::ZERO)).unwrap();
    connected(&mut host).await;
    for key in 0..10 {
        host.publish(key, message("status", format!("bye {key}"))).unwrap();
    }
    host.disconnect(DEADLINE).await.unwrap();
    for key in 0..10 {
        assert_eq!(received(&mut watcher).await.payload, format!("bye {key}"));
    }
    assert!(timeout(Duration::from_millis(500), watcher.next()).await.is_err(), "there was a will");
}

#[tokio::test]
async fn a_goodbye_without_a_connection_says_so_at_once() {
    let nowhere = crate::broker::client(&format!("mqtt://127.0.0.1:{}", free_port()), "host");
    let mut host = start(nowhere.clone());
    disconnected(&mut host).await;
    assert_eq!(host.disconnect(DEADLINE).await, Err(DisconnectError::NotConnected));
    let host = start(nowhere);
    assert_eq!(host.disconnect(DEADLINE).await, Err(DisconnectError::NotConnected));
}

// DM2: Mosquitto 2.0.11 closes the older connection without a word.
#[tokio::test]
async fn two_clients_with_one_id_stop_fighting() {
    let broker = Broker::start().await;
    let mut settings = broker.client("twin");
    settings.reconnect.silent_ends = 3;
    let (mut one, mut other) = (start(settings.clone()), start(settings));
    let evicted = |notice: Notice| match notice {
        Notice::Disconnected { reason: reason @ Reason::TakenOver { .. }, retry_in } => Some((reason, retry_in)),
        _ => None,
    };
    let ((reason, retry_in), mut winner) = tokio::select! {
        evicted = until(&mut one, evicted) => (evicted, other),
        evicted = until(&mut other, evicted) => (evicted, one),
    };
    assert_eq!(reason, Reason::TakenOver { client_id: "twin".to_owned(), certain: false });
    assert!(reason.to_string().contains("two programs use the client id `twin`"), "{reason}");
    assert!(retry_in >= Duration::from_secs(240), "{retry_in:?}");

    // The other one keeps the session.
    if winner.number().is_none() {
        connected(&mut winner).await;
    }
    winner.publish(1, message("still", "here")).unwrap();
    assert_eq!(delivered(&mut winner).await.0, 1);
}

// E2
#[tokio::test]
async fn a_raised_number_reconnects_once_without_a_will() {
    let broker = Broker::start().await;
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("number");
    let mut watcher = watcher(&broker).await;
    let settings = Settings { number_file: Some(file.clone()), ..with_session(&broker) };
    let mut host = Session::start(settings.clone(), wills(Duration::ZERO)).unwrap();
    let number = connected(&mut host).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{number}\n"));

    host.raise(number - 1);
    let ahead = number + 1_000_000_000_000;
    host.raise(ahead);
    assert_eq!(disconnected(&mut host).await, Reason::Raised);
    assert_eq!(connected(&mut host).await, ahead + 1);
    host.raise(ahead);
    host.publish(1, message("status", "birth")).unwrap();
    assert_eq!(received(&mut watcher).await.payload, "birth");
    host.disconnect(DEADLINE).await.unwrap();

    // Kept on disk: greater than what this host's clock says.
    let mut host = Session::start(settings, wills(Duration::ZERO)).unwrap();
    assert_eq!(connected(&mut host).await, ahead + 2);
}

/// A broker that accepts a client and answers nothing more, until the client says goodbye.
fn listens_only() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&[0x20, 3, 0, 0, 0]);
            let mut heard = Vec::new();
            while !heard.ends_with(&[0xe0, 0]) {
                let mut buffer = [0; 1024];
                match stream.read(&mut buffer) {
                    Ok(count) if count > 0 => heard.extend(&buffer[..count]),
                    _ => break,
                }
            }
        }
    });
    port
}

// RR8: a stop while the broker is slow with its answers.
#[tokio::test]
async fn a_goodbye_goes_out_although_the_window_is_full() {
    let url = format!("mqtt://127.0.0.1:{}", listens_only());
    let mut host = start(Settings { window: 2, ..crate::broker::client(&url, "host") });
    connected(&mut host).await;
    host.publish(1, message("status", "x")).unwrap();
    host.publish(2, message("status", "y")).unwrap();
    assert_eq!(host.free(), 0);
    assert_eq!(host.disconnect(DEADLINE).await, Ok(()));
}
