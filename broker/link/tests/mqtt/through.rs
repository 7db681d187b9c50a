//! What the owner reads of a proxy that does not open the way, whatever it answers instead.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use radar_link::mqtt::{Reason, Settings};

use crate::broker::{client, free_port};
use crate::owner::{disconnected, start};

/// A proxy that hears a request out, gives this answer as often as is said, and then closes, or waits.
fn answers(answer: &'static str, times: usize, closes: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            for _ in 0..times {
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
            if !closes {
                let _ = stream.read(&mut [0; 1024]);
            }
        }
    });
    port
}

// E9, DM19
#[tokio::test]
async fn each_way_in_which_a_proxy_does_not_open_the_way_is_told() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let head = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let captive = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>please log in</html>";
    for (port, account, words) in [
        (free_port(), "", &["nothing listens at the proxy http://127.0.0.1:", "MQTT_PROXY"][..]),
        (answers(head, 1, true), "", &["asks for an account", "MQTT_PROXY", "http://user:password@127.0.0.1"]),
        (answers(head, 1, true), "me:hunter2@", &["does not accept the account `me`", "MQTT_PROXY"]),
        (
            answers("HTTP/1.0 403 No\r\n\r\n", 1, true),
            "",
            &["does not let a connection to broker.invalid:8883 pass", "443"],
        ),
        (answers("HTTP/1.1 503 No\r\n\r\n", 1, true), "", &["does not reach broker.invalid:8883", "503"]),
        (answers("HTTP/1.1 400 No\r\n\r\n", 1, true), "", &["it answers 400", "CONNECT"]),
        (answers(captive, 1, false), "", &["is no HTTP proxy", "MQTT_PROXY"]),
        (answers("SSH-2.0-OpenSSH_9.2\r\n", 1, false), "", &["is no HTTP proxy", "MQTT_PROXY"]),
        (answers("", 0, true), "", &["closed the connection without an answer", "MQTT_PROXY"]),
        // Without a bound it would be read until the deadline.
        (answers("HTTP/1.1 200 OK\r\nX: ", 1, false), "", &["no answer from", "within 1 s", "MQTT_PROXY"]),
        (answers("X-Header: and so on, for ever, without an end", 1_000_000, false), "", &["is no HTTP proxy"]),
        (
            answers("HTTP/1.1 200 OK                     ", 1_000_000, false),
            "",
            &["the answer of http://127.0.0.1", "has no end"],
        ),
        (silent, "", &["no answer from mqtts://broker.invalid:8883 within 1 s", "through the proxy", "MQTT_PROXY"]),
    ] {
        // Only a proxy could resolve this name; whoever tries it here says so.
        let mut settings = client("mqtts://broker.invalid", "host");
        settings.reconnect.timeout = Duration::from_secs(1);
        let proxy = Some(format!("http://{account}127.0.0.1:{port}").parse().unwrap());
        let reason = disconnected(&mut start(Settings { proxy, ..settings })).await;
        let text = reason.to_string();
        assert!(matches!(reason, Reason::Network(_)), "{words:?}: {reason:?}");
        assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
        assert!(!text.contains("hunter2") && !text.contains("resolved"), "{text}");
    }
}

// E9
#[tokio::test]
async fn a_proxy_without_an_address_is_told_as_that() {
    let proxy = Some("http://no-such-proxy.invalid:3128".parse().unwrap());
    let settings = Settings { proxy, ..client("mqtt://127.0.0.1:1", "host") };
    let text = disconnected(&mut start(settings)).await.to_string();
    assert!(text.contains("the proxy's name `no-such-proxy.invalid` cannot be resolved"), "{text}");
}
