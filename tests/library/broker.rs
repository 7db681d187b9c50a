use std::time::Duration;

use anyhow::{Context, Result};
use radar_tests::broker::{Accounts, Broker, Options, Persistence};
use radar_tests::wait::until;

const DEADLINE: Duration = Duration::from_secs(10);

async fn kept_after_kill9(persistence: Persistence) -> Result<bool> {
    let broker = Broker::open(&Options { persistence, ..Options::default() }).await?;
    broker.publish_raw("a/retained", b"precious".as_slice(), true).await?;
    if persistence == Persistence::EveryChange {
        until("the message on disk", DEADLINE, async || {
            let saved = broker.saved();
            let found = saved.windows(8).any(|part| part == b"precious");
            if found { Ok(()) } else { Err(format!("{} bytes saved", saved.len())) }
        })
        .await?;
    }
    let port = broker.port();
    broker.kill9().await?;
    broker.start().await?;
    assert_eq!(broker.port(), port);
    Ok(broker.retained("a/retained").await?.is_some())
}

#[tokio::test]
async fn without_persistence_a_kill_forgets() -> Result<()> {
    assert!(!kept_after_kill9(Persistence::Off).await?);
    Ok(())
}

#[tokio::test]
async fn with_default_persistence_a_kill_forgets() -> Result<()> {
    assert!(!kept_after_kill9(Persistence::Default).await?);
    Ok(())
}

#[tokio::test]
async fn saving_every_change_survives_a_kill() -> Result<()> {
    assert!(kept_after_kill9(Persistence::EveryChange).await?);
    Ok(())
}

#[tokio::test]
async fn with_default_persistence_a_stop_keeps() -> Result<()> {
    let options = Options { persistence: Persistence::Default, ..Options::default() };
    let broker = Broker::open(&options).await?;
    broker.publish_typed("a/b", b"kept".as_slice(), true, "text/plain").await?;
    broker.publish_raw("a/c", b"not retained".as_slice(), false).await?;
    broker.stop().await?;
    broker.start().await?;
    let kept = broker.retained_under("a/#").await?;
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["a/b"]);
    assert_eq!(kept["a/b"].payload, b"kept");
    assert_eq!(kept["a/b"].content_type.as_deref(), Some("text/plain"));
    broker.publish_raw("a/b", [], true).await?;
    assert_eq!(broker.retained("a/b").await?, None);
    Ok(())
}

#[tokio::test]
async fn a_tap_records_across_a_restart() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let tap = broker.tap(&["x/+", "y"]).await?;
    broker.publish_raw("x/1", [0xff, 0], false).await?;
    broker.publish_raw("z", b"unseen".as_slice(), false).await?;
    broker.publish_raw("y", b"2".as_slice(), true).await?;
    tap.wait_count(2, DEADLINE).await?;
    let seen: Vec<_> = tap.seen().into_iter().map(|seen| (seen.topic, seen.payload)).collect();
    assert_eq!(seen, [("x/1".to_owned(), vec![0xff, 0]), ("y".to_owned(), b"2".to_vec())]);

    broker.kill9().await?;
    broker.start().await?;
    until("the tap to hear again", DEADLINE, async || {
        broker.publish_raw("x/2", b"3".as_slice(), false).await?;
        tap.wait_count(3, Duration::from_millis(100)).await
    })
    .await?;
    let failed = tap.wait_for("what never comes", Duration::from_millis(20), |seen| seen.topic == "q").await;
    let message = failed.expect_err("nothing was published").to_string();
    assert!(message.contains("what never comes") && message.contains("x/2"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_frozen_broker_answers_after_it_thaws() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    broker.freeze();
    let publishing = broker.publish_raw("a", b"1".as_slice(), true);
    tokio::pin!(publishing);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut publishing).await.is_err());
    broker.thaw();
    publishing.await
}

#[tokio::test]
async fn accounts_bind_agents_to_their_topics() -> Result<()> {
    let accounts = Accounts::fleet("radar", &["pi", "other"]);
    let broker = Broker::open(&Options { accounts: Some(accounts), ..Options::default() }).await?;
    let publish = async |user: &str, password: &str, topic: &str| -> Result<bool> {
        let port = broker.port().to_string();
        let status = tokio::process::Command::new("mosquitto_pub")
            .args(["-V", "5", "-h", "127.0.0.1", "-p", &port, "-u", user, "-P", password])
            .args(["-q", "1", "-r", "-t", topic, "-m", user])
            .output()
            .await
            .context("mosquitto_pub")?;
        Ok(status.status.success() && broker.retained(topic).await?.is_some())
    };
    assert!(publish("pi", "pi-password", "radar/v1/pi/status").await?);
    assert!(!publish("pi", "wrong", "radar/v1/pi/snapshot").await?);
    assert!(!publish("pi", "pi-password", "radar/v1/other/status").await?);
    assert!(!publish("pi", "pi-password", "radar/v1/pi/command").await?);
    assert!(publish("bridge", "bridge-password", "radar/v1/pi/command").await?);
    Ok(())
}

#[tokio::test]
async fn tls_trusts_its_own_authority_only() -> Result<()> {
    let options = Options { tls: true, client_certificates: true, websocket: true, ..Options::default() };
    let broker = Broker::open(&options).await?;
    let certificates = broker.certificates().context("TLS was asked for")?;
    let port = broker.tls_port().context("TLS was asked for")?.to_string();
    let publish = async |identity: bool| -> Result<bool> {
        let mut command = tokio::process::Command::new("mosquitto_pub");
        command.args(["-h", "localhost", "-p", &port, "-t", "a", "-m", "b", "-q", "1"]);
        command.arg("--cafile").arg(certificates.ca());
        if identity {
            command.arg("--cert").arg(certificates.client()).arg("--key").arg(certificates.client_key());
        }
        Ok(command.output().await.context("mosquitto_pub")?.status.success())
    };
    assert!(publish(true).await?);
    assert!(!publish(false).await?);
    assert!(broker.websocket_url().is_some());
    let text = tokio::process::Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(certificates.client())
        .output()
        .await?;
    assert!(String::from_utf8_lossy(&text.stdout).contains("Version: 3"));
    Ok(())
}
