//! Encrypted connections and WebSockets.

use std::time::Duration;

use radar_link::mqtt::{Delivery, Session, Settings};

use crate::broker::{Authority, Broker, client, free_port};
use crate::owner::{connected, delivered, message, start};

struct Encrypted {
    broker: Broker,
    ca: Authority,
    /// Asks for a client certificate.
    strict_port: u16,
    web_port: u16,
}

async fn encrypted(alternative: &str) -> Encrypted {
    let room = tempfile::tempdir().unwrap();
    let ca = Authority::new(room.path(), "our-ca").await;
    let (cert, key) = ca.sign("server", alternative, "2").await;
    let (strict_port, web_port) = (free_port(), free_port());
    let certificates = format!("certfile {}\nkeyfile {}\n", cert.display(), key.display());
    let lines = format!(
        "allow_anonymous true\n{certificates}listener {strict_port} 127.0.0.1\n{certificates}cafile {}\nrequire_certificate true\nlistener {web_port} 127.0.0.1\nprotocol websockets\n{certificates}",
        ca.certificate().display(),
    );
    Encrypted { broker: Broker::in_room(room, &lines).await, ca, strict_port, web_port }
}

async fn works(mut session: Session) {
    connected(&mut session).await;
    session.publish(4, message("over/tls", vec![7; 100_000])).unwrap();
    assert_eq!(delivered(&mut session).await, (4, Delivery::NoSubscriber));
    session.disconnect(Duration::from_secs(5)).await.unwrap();
}

// E9
#[tokio::test]
async fn an_encrypted_broker_is_reached_with_its_ca() {
    let Encrypted { broker, ca, strict_port, web_port } = encrypted("DNS:localhost,IP:127.0.0.1").await;
    let ca_file = Some(ca.certificate());
    let (cert, key) = ca.sign("host", "DNS:host", "2").await;
    for url in [
        format!("mqtts://localhost:{}", broker.port()),
        format!("mqtts://127.0.0.1:{}", broker.port()),
        format!("mqtts://localhost:{strict_port}"),
        format!("wss://localhost:{web_port}"),
    ] {
        let mut settings = Settings { ca_file: ca_file.clone(), ..client(&url, "host") };
        if url.ends_with(&strict_port.to_string()) {
            settings.cert_file = Some(cert.clone());
            settings.key_file = Some(key.clone());
        }
        works(start(settings)).await;
    }
}

// E9
#[tokio::test]
async fn a_broker_behind_a_web_socket_is_reached() {
    let web_port = free_port();
    let broker =
        Broker::with(&format!("allow_anonymous true\nlistener {web_port} 127.0.0.1\nprotocol websockets\n")).await;
    works(start(client(&format!("ws://127.0.0.1:{web_port}"), "host"))).await;
    drop(broker);
}

// DM19
#[tokio::test]
async fn certificate_files_that_cannot_be_used_are_refused_before_anything_starts() {
    let room = tempfile::tempdir().unwrap();
    let ca = Authority::new(room.path(), "our-ca").await;
    let (cert, key) = ca.sign("host", "DNS:host", "2").await;
    let (_, other_key) = ca.sign("other", "DNS:other", "2").await;
    let (first, first_key) = ca.issue("first", "", &["-days", "2"]).await;
    let empty = room.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let base = client("mqtts://localhost", "host");
    for (settings, words) in [
        (Settings { ca_file: Some(room.path().join("none")), ..base.clone() }, ["MQTT_CA_FILE", "no such file"]),
        (
            Settings { ca_file: Some(empty), ..base.clone() },
            ["MQTT_CA_FILE", "empty.pem: there is no certificate in it"],
        ),
        (
            Settings {
                ca_file: Some(ca.certificate()),
                cert_file: Some(cert.clone()),
                key_file: Some(cert.clone()),
                ..base.clone()
            },
            ["MQTT_KEY_FILE", "there is no private key in it"],
        ),
        (
            Settings {
                ca_file: Some(ca.certificate()),
                cert_file: Some(cert),
                key_file: Some(other_key),
                ..base.clone()
            },
            ["MQTT_CERT_FILE", "does not go with"],
        ),
        // As openssl makes it without extensions.
        (
            Settings {
                ca_file: Some(ca.certificate()),
                cert_file: Some(first),
                key_file: Some(first_key),
                ..base.clone()
            },
            ["MQTT_CERT_FILE", "not of X.509 version 3"],
        ),
        (
            Settings { ca_file: Some(ca.certificate()), cert_file: Some(key.clone()), key_file: Some(key), ..base },
            ["MQTT_CERT_FILE", "there is no certificate in it"],
        ),
    ] {
        let error = Session::start(settings, Box::new(|_| None)).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
