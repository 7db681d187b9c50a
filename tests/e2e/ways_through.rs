//! Networks that let nobody out but through a proxy, or on port 443 only: real proxies, a real web server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_link::mqtt::{Delivery, Message, Notice, Qos, Session, Settings};
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Spec};
use radar_tests::forward::{FROM, Forward, Kind, NAME, PASSWORD};
use radar_tests::front::{self, Front};
use radar_tests::wait::until;
use serde_json::Value;

use crate::world::{self, DEADLINE};

/// More than one frame of a WebSocket or one buffer of a proxy holds, in bytes.
const LARGE: u32 = 100_000;

/// A session with short waits.
fn session(url: &str, proxy: Option<&str>, broker: &Broker) -> Result<Session> {
    let mut settings = Settings::new(url.parse()?, "edge");
    settings.proxy = proxy.map(str::parse).transpose()?;
    if url.starts_with("mqtts") || url.starts_with("wss") {
        settings.ca_file = Some(broker.certificates().context("certificates")?.ca());
    }
    settings.reconnect.first = Duration::from_millis(50);
    settings.reconnect.most = Duration::from_millis(300);
    settings.max_incoming_packet = 1 << 20;
    settings.subscriptions = vec!["big/+".to_owned()];
    Ok(Session::start(settings, Box::new(|_| None))?)
}

/// The first notice that fits.
async fn next<T>(session: &mut Session, what: &str, mut fits: impl FnMut(Notice) -> Option<T>) -> Result<T> {
    let mut last = String::new();
    let search = async {
        loop {
            let notice = session.next().await;
            last = format!("{notice:?}").chars().take(300).collect();
            if let Some(found) = fits(notice) {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(DEADLINE, search).await;
    found.map_err(|_| anyhow::anyhow!("waited for {what}; last seen: {last}"))
}

/// Why there is no connection.
async fn refused(session: &mut Session) -> Result<String> {
    next(session, "a reason", |notice| match notice {
        Notice::Disconnected { reason, .. } => Some(reason.to_string()),
        _ => None,
    })
    .await
}

/// A message of this size goes out and comes back.
async fn works(session: &mut Session, size: u32) -> Result<()> {
    next(session, "the subscription", |notice| matches!(notice, Notice::Subscribed { .. }).then_some(())).await?;
    let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    let message = Message {
        topic: "big/one".to_owned(),
        payload: payload.clone().into(),
        retain: false,
        qos: Qos::AtLeastOnce,
        content_type: None,
        expiry: None,
    };
    session.publish(1, message)?;
    let (mut delivered, mut received) = (false, false);
    next(session, "the message there and back", |notice| {
        match notice {
            Notice::Delivered { outcome, .. } => delivered = outcome == Delivery::Accepted,
            Notice::Received(message) => received = message.payload == payload,
            _ => {}
        }
        (delivered && received).then_some(())
    })
    .await
}

// E9
#[tokio::test]
async fn all_four_schemes_go_through_a_proxy_and_nothing_past_it() -> Result<()> {
    let options = Options { tls: true, websocket: true, ..Options::default() };
    let broker = Broker::open(&options).await?;
    let front = Front::open(
        broker.certificates().context("certificates")?,
        broker.websocket_port().context("a WebSocket")?,
        "150s",
    )
    .await?;
    for (kind, asks) in [(Kind::Tinyproxy, false), (Kind::Tinyproxy, true), (Kind::Squid, false), (Kind::Squid, true)] {
        let proxy = Forward::open(kind, asks, &[]).await?;
        let address = if asks { proxy.url_with_account() } else { proxy.url() };
        for url in [
            broker.url(),
            broker.tls_url().context("TLS")?,
            broker.websocket_url().context("a WebSocket")?,
            format!("wss://localhost:{}", front.port()),
        ] {
            let mut session = session(&url, Some(&address), &broker)?;
            // A WebSocket at Mosquitto 2.0.11 is slow; that a large message comes through is seen elsewhere.
            let size = if url.starts_with("ws") { 1000 } else { LARGE };
            works(&mut session, size).await.with_context(|| format!("{url} through {kind:?}: {}", proxy.tail()))?;
            session.disconnect(Duration::from_secs(5)).await?;
        }
        if asks {
            for wrong in [proxy.url(), format!("http://edge:wrong@{}", &proxy.url()[7..])] {
                let said = refused(&mut session(&broker.url(), Some(&wrong), &broker)?).await?;
                let word =
                    if wrong == proxy.url() { "asks for an account" } else { "does not accept the account `edge`" };
                ensure!(said.contains(word) && said.contains("MQTT_PROXY"), "{kind:?}: {said}");
            }
        }
    }
    let origins = broker.origins("edge");
    // Three of the four schemes reach the broker from the proxy itself, the last from the web server.
    assert_eq!(origins.iter().filter(|from| *from == FROM).count(), 12, "{origins:?}");
    let requests = front.log();
    assert!(requests.lines().count() == 4 && requests.lines().all(|line| line.starts_with(FROM)), "{requests}");
    Ok(())
}

// E9
#[tokio::test]
async fn what_a_proxy_does_not_allow_or_reach_is_told() -> Result<()> {
    let broker = Broker::open(&Options { tls: true, ..Options::default() }).await?;
    let nobody = radar_tests::port::free()?;
    for kind in [Kind::Tinyproxy, Kind::Squid] {
        let proxy = Forward::open(kind, false, &[443, nobody]).await?;
        let url = proxy.url();
        let said = refused(&mut session(&broker.url(), Some(&url), &broker)?).await?;
        let target = format!("127.0.0.1:{}", broker.port());
        ensure!(said.contains(&format!("does not let a connection to {target} pass")), "{kind:?}: {said}");
        let said = refused(&mut session(&format!("mqtt://127.0.0.1:{nobody}"), Some(&url), &broker)?).await?;
        ensure!(said.contains(&format!("does not reach 127.0.0.1:{nobody}")), "{kind:?}: {said}");
        // Without a port, wss:// is what such a proxy lets pass.
        let mut web = session("wss://127.0.0.1", Some(&url), &broker)?;
        refused(&mut web).await?;
        until("the port of wss://", DEADLINE, async || {
            let log = proxy.log();
            if log.contains("CONNECT 127.0.0.1:443") { Ok(()) } else { Err(log) }
        })
        .await?;
    }
    Ok(())
}

// E9, DM3
#[tokio::test]
async fn a_name_that_only_the_proxy_knows_is_reached_again_after_a_cut() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let proxy = Forward::open(Kind::Squid, false, &[]).await?;
    let url = format!("mqtt://{NAME}:{}", broker.port());
    let said = refused(&mut session(&url, None, &broker)?).await?;
    ensure!(said.contains("cannot be resolved"), "{said}");
    let mut session = session(&url, Some(&proxy.url()), &broker)?;
    works(&mut session, 1000).await?;
    proxy.kill9().await?;
    refused(&mut session).await?;
    let said = refused(&mut session).await?;
    ensure!(said.contains("nothing listens at the proxy"), "{said}");
    proxy.start().await?;
    works(&mut session, 1000).await?;
    assert!(broker.origins("edge").iter().all(|from| from == FROM), "{:?}", broker.origins("edge"));
    Ok(())
}

// E9
#[tokio::test]
async fn a_web_server_cuts_what_is_silent_and_the_session_comes_back() -> Result<()> {
    let broker = Broker::open(&Options { tls: true, websocket: true, ..Options::default() }).await?;
    let certificates = broker.certificates().context("certificates")?;
    // Shorter than the shortest keep alive: what a default of 60 s is to a keep alive of a minute.
    let front = Front::open(certificates, broker.websocket_port().context("a WebSocket")?, "1s").await?;
    let url = format!("wss://localhost:{}/mqtt", front.port());
    let mut cut = session(&url, None, &broker)?;
    works(&mut cut, LARGE).await?;
    let said = refused(&mut cut).await?;
    ensure!(said.contains("closed") || said.contains("broke"), "{said}");
    works(&mut cut, 1000).await?;
    // What is handed out waits longer than two pings.
    let text = front::configuration()?;
    let limits = text.lines().filter_map(|line| line.trim().strip_prefix("proxy_read_timeout ")?.strip_suffix("s;"));
    let limits: Vec<u64> = limits.map(str::parse).collect::<Result<_, _>>()?;
    assert!(limits.len() == 1 && limits[0] > 2 * 60, "{limits:?}");
    // A path that is not the broker's, and a broker that is away behind it.
    let said = refused(&mut session(&url.replace("/mqtt", "/other"), None, &broker)?).await?;
    ensure!(said.contains("404") && said.contains("check the path in MQTT_URL"), "{said}");
    broker.stop().await?;
    let mut away = session(&url, None, &broker)?;
    let said = refused(&mut away).await?;
    ensure!(said.contains("502") && said.contains("behind the reverse proxy"), "{said}");
    Ok(())
}

// E9, RR13: the whole way, with the password in a file.
#[tokio::test]
async fn an_agent_behind_a_proxy_and_port_443_is_as_any_other() -> Result<()> {
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options { tls: true, websocket: true, ..Options::default() }).await?;
    let certificates = broker.certificates().context("certificates")?;
    let front = Front::open(certificates, broker.websocket_port().context("a WebSocket")?, "150s").await?;
    let proxy = Forward::open(Kind::Tinyproxy, true, &[front.port()]).await?;
    let room = tempfile::tempdir()?;
    let secret = room.path().join("proxy");
    std::fs::write(&secret, format!("{}\n", proxy.url_with_account()))?;

    let bridge = world::bridge(&broker.url())?;
    let key = bridge.call(&["key"]).await?;
    let mut agent = world::agent("pi", &engine.host(), &format!("wss://localhost:{}", front.port()))?;
    agent.set("MQTT_CA_FILE", &certificates.ca().display().to_string());
    agent.set("MQTT_PROXY_FILE", &secret.display().to_string());
    agent.set("AGENT_COMMAND_KEY", String::from_utf8(key.stdout)?.trim());
    agent.set("AGENT_ALLOW", "operate");
    agent.set("AGENT_LOG_LEVEL", "debug");
    bridge.start().await?;
    agent.start().await?;
    let ready = |line: &Value| line["state"] == "online" && line["containers"]["complete"] == true;
    bridge.wait_agent("pi", "the agent", ready).await?;

    let name = engine.unique("behind");
    engine.run(&name, Spec::default()).await?;
    let told = |name: &str, word: &'static str| {
        let (bridge, name) = (&bridge, name.to_owned());
        until("an event of the container", DEADLINE, async move || {
            let output = bridge.call(&["events", "pi", "--json"]).await?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if text.lines().any(|line| line.contains(&name) && line.contains(word)) {
                Ok(())
            } else {
                Err(anyhow::anyhow!("{text}"))
            }
        })
    };
    told(&name, "\"start\"").await?;
    let stopped = bridge.call(&["command", "pi", "stop", &name]).await?;
    ensure!(stopped.status.success(), "{stopped:?}\n{}", agent.log());
    told(&name, "\"die\"").await?;

    // A cut of the proxy is a cut like any other.
    proxy.kill9().await?;
    agent.wait_log("nothing listens at the proxy").await?;
    let meanwhile = engine.unique("meanwhile");
    engine.run(&meanwhile, Spec::default()).await?;
    proxy.start().await?;
    told(&meanwhile, "\"start\"").await?;
    agent.stop().await?;

    let log = agent.log();
    assert!(log.contains(&format!("through the proxy {}", proxy.url())), "{log}");
    assert!(!log.contains(PASSWORD) && !log.contains("p%2Ds"), "{log}");
    let requests = front.log();
    assert!(!requests.is_empty() && requests.lines().all(|line| line.starts_with(FROM)), "{requests}");
    assert!(proxy.log().contains(&format!("CONNECT localhost:{}", front.port())), "{}", proxy.log());
    Ok(())
}
