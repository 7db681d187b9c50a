//! Each fault of a certificate, a port or an account says which it was, with the setting and what to do.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use radar_link::mqtt::{Reason, Settings};

use crate::broker::{Authority, Broker, client, free_port};
use crate::owner::{disconnected, start};

/// Listeners of one broker, each with another certificate.
#[derive(Default)]
struct Listeners {
    lines: String,
}

impl Listeners {
    fn add(&mut self, (cert, key): &(PathBuf, PathBuf), more: &str) -> u16 {
        let port = free_port();
        let (cert, key) = (cert.display(), key.display());
        let _ = write!(self.lines, "listener {port} 127.0.0.1\ncertfile {cert}\nkeyfile {key}\n{more}\n");
        port
    }

    fn plain(&mut self, more: &str) -> u16 {
        let port = free_port();
        let _ = write!(self.lines, "listener {port} 127.0.0.1\n{more}\n");
        port
    }
}

async fn check(what: &str, settings: Settings, words: &[&str]) -> Reason {
    let reason = disconnected(&mut start(settings)).await;
    let text = reason.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{what}: {text}");
    reason
}

fn trusting(ca: &Path, url: &str) -> Settings {
    Settings { ca_file: Some(ca.to_owned()), ..client(url, "host") }
}

// E8, DM19
#[tokio::test]
async fn each_fault_of_the_brokers_certificate_says_which_it_was() {
    let room = tempfile::tempdir().unwrap();
    let ca = Authority::new(room.path(), "our-ca").await;
    let other = Authority::new(room.path(), "other-ca").await;
    let days = &["-days", "2"];
    let mut listeners = Listeners::default();
    let good = listeners.add(&ca.sign("server", "DNS:localhost", "2").await, "");
    let expired = listeners.add(&ca.issue_between("expired", "20200101000000Z", "20200201000000Z").await, "");
    // What a host whose clock is in 1970 sees of every certificate.
    let future = listeners.add(&ca.issue_between("future", "20400101000000Z", "20410101000000Z").await, "");
    let nameless = listeners.add(&ca.issue("nameless", "basicConstraints=CA:FALSE\n", days).await, "");
    let client_only = "subjectAltName=DNS:localhost\nextendedKeyUsage=clientAuth\n";
    let client_only = listeners.add(&ca.issue("client-only", client_only, days).await, "");
    let first = listeners.add(&ca.issue("first", "", days).await, "");
    let itself = listeners.add(&(ca.certificate(), ca.key()), "");
    let _broker = Broker::in_room(room, &format!("allow_anonymous true\n{}", listeners.lines)).await;
    let at = |port| format!("mqtts://localhost:{port}");
    let (ours, theirs) = (ca.certificate(), other.certificate());
    let their_name = theirs.display().to_string();
    for (what, settings, words) in [
        (
            "another CA",
            trusting(&theirs, &at(good)),
            &["not signed by an authority that is trusted", "MQTT_CA_FILE", &their_name][..],
        ),
        ("no CA", client(&at(good), "host"), &["not signed by an authority", "MQTT_CA_FILE is not set"]),
        (
            "another name",
            trusting(&ours, &at(good).replace("localhost", "127.0.0.1")),
            &["not made for the name `127.0.0.1`", "localhost", "MQTT_URL"],
        ),
        ("no name", trusting(&ours, &at(nameless)), &["not made for the name `localhost`, but for no name at all"]),
        ("expired", trusting(&ours, &at(expired)), &["has expired on 2020-02-01T00:00:00Z", "--renew", "clock"]),
        (
            "a clock in the past",
            trusting(&ours, &at(future)),
            &["is not valid before 2040-01-01T00:00:00Z", "set the clock"],
        ),
        ("a client's", trusting(&ours, &at(client_only)), &["is not one for a server", "make-ca"]),
        ("version 1", trusting(&ours, &at(first)), &["not of X.509 version 3", "make-ca"]),
        ("self-signed", trusting(&ours, &at(itself)), &["is self-signed", "make-ca"]),
        ("self-signed, unknown", trusting(&theirs, &at(itself)), &["is self-signed", "make-ca"]),
    ] {
        let reason = check(what, settings, words).await;
        assert!(matches!(reason, Reason::Tls(_)), "{what}: {reason:?}");
    }
}

// E8, DM19
#[tokio::test]
async fn each_fault_of_a_clients_certificate_says_which_it_was() {
    let room = tempfile::tempdir().unwrap();
    let ca = Authority::new(room.path(), "our-ca").await;
    let other = Authority::new(room.path(), "other-ca").await;
    let mut listeners = Listeners::default();
    let server = ca.sign("server", "DNS:localhost", "2").await;
    let asks = format!("cafile {}\nrequire_certificate true", ca.certificate().display());
    let strict = listeners.add(&server, &asks);
    let old = listeners.add(&server, &format!("{asks}\ntls_version tlsv1.2"));
    let expired = ca.issue_between("expired", "20200101000000Z", "20200201000000Z").await;
    let foreign = other.sign("stranger", "DNS:stranger", "2").await;
    let _broker = Broker::in_room(room, &format!("allow_anonymous true\n{}", listeners.lines)).await;
    let certificate = ca.certificate();
    for port in [strict, old] {
        let url = format!("mqtts://localhost:{port}");
        let showing = |(cert, key): &(PathBuf, PathBuf)| Settings {
            cert_file: Some(cert.clone()),
            key_file: Some(key.clone()),
            ..trusting(&certificate, &url)
        };
        for (what, settings, words) in [
            ("none", trusting(&certificate, &url), &["client certificate", "MQTT_CERT_FILE"][..]),
            ("expired", showing(&expired), &["MQTT_CERT_FILE", "expired.pem", "it has expired", "--client"]),
            (
                "foreign",
                showing(&foreign),
                &["MQTT_CERT_FILE", "stranger.pem", "authority that the broker does not trust"],
            ),
        ] {
            let reason = check(what, settings, words).await;
            assert!(matches!(reason, Reason::Tls(_)), "{what}: {reason:?}");
        }
    }
}

/// A port at which everybody is told this, whatever they say.
fn speaker(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.read(&mut [0; 1024]).unwrap_or_default();
            stream.write_all(words).unwrap_or_default();
        }
    });
    port
}

// E8, DM19
#[tokio::test]
async fn a_port_that_speaks_something_else_is_told_as_that() {
    let room = tempfile::tempdir().unwrap();
    let ca = Authority::new(room.path(), "our-ca").await;
    let server = ca.sign("server", "DNS:localhost", "2").await;
    let mut listeners = Listeners::default();
    let (plain, encrypted) = (listeners.plain(""), listeners.add(&server, ""));
    let (web, web_encrypted) = (listeners.plain("protocol websockets"), listeners.add(&server, "protocol websockets"));
    let _broker = Broker::in_room(room, &format!("allow_anonymous true\n{}", listeners.lines)).await;
    let ca = ca.certificate();
    let page =
        speaker(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html></html>");
    let pong = speaker(&[0xd0, 0]);
    let foreign = "does not speak MQTT; the port may be one for";
    let no_tls = "TLS";
    for (what, settings, words) in [
        ("TLS at a port without", trusting(&ca, &format!("mqtts://localhost:{plain}")), &["TLS", "mqtt://"][..]),
        ("none at a port with", client(&format!("mqtt://localhost:{encrypted}"), "host"), &[no_tls, "mqtts://"]),
        ("MQTT at a web server's", client(&format!("mqtt://localhost:{page}"), "host"), &[foreign]),
        ("MQTT at what does not begin it", client(&format!("mqtt://localhost:{pong}"), "host"), &[foreign]),
        ("MQTT at a WebSocket's", client(&format!("mqtt://localhost:{web}"), "host"), &["ws://"]),
        ("WebSocket at MQTT's", client(&format!("ws://localhost:{plain}"), "host"), &["ws://localhost", "port"]),
        ("wss at ws", trusting(&ca, &format!("wss://localhost:{web}")), &["TLS", "ws://"]),
        ("ws at wss", client(&format!("ws://localhost:{web_encrypted}"), "host"), &["ws://localhost", "port"]),
    ] {
        check(what, settings, words).await;
    }
}
