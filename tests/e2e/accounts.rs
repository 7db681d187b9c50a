//! Accounts at the broker, made by our own commands for the configuration that is shipped: what they let through and what
//! they keep out.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use peer::Peer;
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Spec};
use radar_tests::wait::until;
use shipped::Shipped;

use crate::world::{self, DEADLINE, Program};

mod attempts;
mod erasing;
mod forms;
mod peer;
mod relayed;
mod shipped;

/// An agent with exactly what was printed for its host.
fn agent_with(handed: &BTreeMap<String, String>, engine: &Engine) -> Result<Program> {
    let mut agent = world::agent("-", &engine.host(), "mqtt://-")?;
    handed.iter().for_each(|(variable, value)| agent.set(variable, value));
    Ok(agent)
}

// E8
#[tokio::test]
async fn from_nothing_to_an_agent_that_is_online_and_out_again() -> Result<()> {
    let engine = Engine::shared().await?;
    engine.run(&engine.unique("accounts"), Spec::default()).await?;
    let shipped = Shipped::start().await?;
    shipped.bridge.start().await?;
    let (url, ca) = (shipped.tls_url(), shipped.ca().display().to_string());
    let handed = shipped.add(&["pi kitchen", "--url", &url, "--ca", &ca, "--allow", "observe,operate"]).await?;
    assert_eq!(handed["MQTT_CA_FILE"], "/etc/radar-agent/ca.pem");
    assert_eq!((&*handed["AGENT_ID"], &*handed["AGENT_NAME"]), ("pi-kitchen", "pi kitchen"));

    let mut agent = agent_with(&handed, &engine)?;
    // Only the certificate is elsewhere on this host.
    agent.set("MQTT_CA_FILE", &ca);
    agent.start().await?;
    shipped.bridge.wait_agent("pi-kitchen", "an agent that is online", |line| line["state"] == "online").await?;
    shipped.call(&["command", "pi-kitchen", "images"]).await?;

    // What the plugin has written by itself is read again.
    shipped.close().await?;
    shipped.open().await?;
    until("a command after the broker's restart", DEADLINE, async || {
        shipped.call(&["command", "pi-kitchen", "images"]).await.map(drop)
    })
    .await?;

    let said = shipped.call(&["remove-agent", "pi-kitchen"]).await?;
    ensure!(said.contains("its account radar-agent-pi-kitchen and its role are removed"), "{said}");
    ensure!(said.contains("its state and history are removed"), "{said}");
    // It is told, and its next attempts say what the matter is.
    agent.wait_log("does not authorize the account `radar-agent-pi-kitchen`").await?;
    let password = shipped.password("bridge.password")?;
    let mut bridge = Peer::entered(shipped.port, "test", ("radar-bridge", &password)).await?;
    for channel in ["status", "snapshot", "stats"] {
        ensure!(bridge.subscribe(&format!("radar/v1/+/{channel}")).await?);
    }
    ensure!(bridge.publish("radar/v1/last/status", "x", false).await?);
    assert_eq!(bridge.received_until("radar/v1/last/status").await?.len(), 1, "nothing of it is retained");
    ensure!(shipped.bridge.agent_line("pi-kitchen").await.is_err(), "the bridge still knows it");
    let again = shipped.call(&["remove-agent", "pi-kitchen"]).await?;
    ensure!(again.contains("has no account radar-agent-pi-kitchen") && again.contains("there was nothing"), "{again}");
    agent.stop().await?;
    shipped.bridge.stop().await?;
    let log = shipped.bridge.log() + &agent.log();
    ensure!(!log.contains(&handed["MQTT_PASSWORD"]) && !log.contains(&password), "a password in a log");
    Ok(())
}

// E8
#[tokio::test]
async fn a_secret_that_nobody_was_told_is_no_success() -> Result<()> {
    let shipped = Shipped::start().await?;
    let (reader, gone) = std::io::pipe()?;
    drop(reader);
    for (words, advice) in [
        (&["add-agent", "pi"][..], "run it again with --rotate --id pi"),
        (&["api-key", "create", "--name", "Ann"], "revoke it"),
    ] {
        let mut command = shipped.bridge.command(words).await?;
        let told = command.stdout(gone.try_clone()?).stderr(std::process::Stdio::piped());
        let output = told.spawn()?.wait_with_output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1) && said.contains(advice), "{words:?}: {output:?}");
    }
    let mut shown = shipped.bridge.command(&["api-key", "list"]).await?;
    ensure!(shown.stdout(gone).status().await?.success(), "what can be asked for again is no loss");
    Ok(())
}

// E8
#[tokio::test]
async fn an_account_reaches_its_own_topics_and_nothing_else() -> Result<()> {
    let shipped = Shipped::start().await?;
    let (pi, attic) = (shipped.add(&["pi"]).await?, shipped.add(&["attic"]).await?);
    let (pi, attic) = (&pi["MQTT_PASSWORD"], &attic["MQTT_PASSWORD"]);
    let bridge = shipped.password("bridge.password")?;
    attempts::check(shipped.port, pi, attic, &bridge, true).await?;

    // Bound to its client id, it cannot take over a session of another's, nor the bridge's.
    for (client_id, account) in [
        ("radar-agent-attic", Some(("radar-agent-pi", pi.as_str()))),
        ("radar-bridge-radar", Some(("radar-agent-pi", pi))),
        ("radar-agent-pi", Some(("radar-take-over-pi", pi))),
        ("radar-agent-pi", Some(("radar-agent-attic", attic))),
        ("radar-agent-pi", Some(("radar-agent-pi", attic))),
        ("radar-agent-pi", Some(("radar-agent-pi", ""))),
        ("radar-agent-pi", Some(("radar-agent-nobody", pi))),
        ("radar-agent-pi", Some(("radar-admin", pi))),
        ("radar-agent-pi", None),
    ] {
        let entered = Peer::enter(shipped.port, client_id, account).await?;
        ensure!(entered.is_none(), "{account:?} is let in as {client_id}");
    }
    // The helper of a self-update is another client of the same host.
    let mut helper = Peer::entered(shipped.port, "radar-take-over-pi", ("radar-take-over-pi", pi)).await?;
    ensure!(helper.subscribe("radar/v1/pi/status").await? && !helper.subscribe("radar/v1/attic/status").await?);

    // Removed it is out at once, with its helper, and does not come back.
    let own = Peer::entered(shipped.port, "radar-agent-pi", ("radar-agent-pi", pi)).await?;
    shipped.call(&["remove-agent", "pi"]).await?;
    own.thrown_out().await?;
    helper.thrown_out().await?;
    for account in ["radar-agent-pi", "radar-take-over-pi"] {
        ensure!(Peer::enter(shipped.port, account, Some((account, pi))).await?.is_none(), "{account} comes back");
    }
    Peer::entered(shipped.port, "radar-agent-attic", ("radar-agent-attic", attic)).await?;
    Ok(())
}

// E8
#[tokio::test]
async fn lines_for_a_broker_without_the_plugin_let_through_the_same() -> Result<()> {
    let (shipped, passwords) = Shipped::with_files(&["pi", "attic"]).await?;
    let bridge = shipped.password("bridge.password")?;
    attempts::check(shipped.port, &passwords["pi"], &passwords["attic"], &bridge, false).await?;
    ensure!(Peer::enter(shipped.port, "x", None).await?.is_none(), "anybody is let in");
    let wrong = Some(("radar-agent-pi", passwords["attic"].as_str()));
    ensure!(Peer::enter(shipped.port, "x", wrong).await?.is_none(), "a wrong password is let in");
    let error = shipped.fails(&["add-agent", "third"]).await?;
    ensure!(error.contains("has no dynamic-security plugin") && error.contains("--format mosquitto-acl"), "{error}");
    Ok(())
}

// E8
#[tokio::test]
async fn an_agent_that_is_there_is_left_alone_and_a_new_password_ends_the_old_one() -> Result<()> {
    let shipped = Shipped::start().await?;
    let first = shipped.add(&["pi"]).await?["MQTT_PASSWORD"].clone();
    let error = shipped.fails(&["add-agent", "pi"]).await?;
    ensure!(error.contains("there is an agent pi already") && error.contains("--rotate"), "{error}");
    let own = Peer::entered(shipped.port, "radar-agent-pi", ("radar-agent-pi", &first)).await?;
    let second = shipped.add(&["pi", "--rotate"]).await?["MQTT_PASSWORD"].clone();
    own.thrown_out().await?;
    for account in ["radar-agent-pi", "radar-take-over-pi"] {
        ensure!(
            Peer::enter(shipped.port, account, Some((account, &first))).await?.is_none(),
            "{account} by the old one"
        );
        Peer::entered(shipped.port, account, (account, &second)).await?;
    }
    // What was cut off in the middle is finished the same way.
    shipped.call(&["remove-agent", "pi"]).await?;
    let half = r#"{"commands":[{"command":"createRole","rolename":"radar-agent-pi"}]}"#;
    let admin = shipped.password("admin.password")?;
    let mut plugin = Peer::entered(shipped.port, "test", ("radar-admin", &admin)).await?;
    ensure!(plugin.publish("$CONTROL/dynamic-security/v1", half, false).await?);
    let error = shipped.fails(&["add-agent", "pi"]).await?;
    ensure!(error.contains("--rotate"), "{error}");
    let second = shipped.add(&["pi", "--rotate"]).await?["MQTT_PASSWORD"].clone();
    let mut whole = Peer::entered(shipped.port, "radar-agent-pi", ("radar-agent-pi", &second)).await?;
    ensure!(whole.publish("radar/v1/pi/event", "x", false).await?);
    let error = shipped.fails(&["add-agent", "attic", "--rotate"]).await?;
    ensure!(error.contains("there is no account radar-agent-attic"), "{error}");
    // An id that looks like a helper's account is an agent of its own.
    shipped.add(&["take-over-pi"]).await?;
    Peer::entered(shipped.port, "radar-agent-pi", ("radar-agent-pi", &second)).await?;
    Ok(())
}

// E8
#[tokio::test]
async fn the_bridge_makes_no_accounts_and_an_error_says_which_account_would() -> Result<()> {
    let mut shipped = Shipped::start().await?;
    let (admin, file) = ("MQTT_ADMIN_USERNAME", "MQTT_ADMIN_PASSWORD_FILE");
    let right = shipped.bridge.setting(file).context("a file")?.to_owned();
    shipped.bridge.set(file, &shipped.accounts().join("bridge.password").display().to_string());
    let error = shipped.fails(&["add-agent", "pi"]).await?;
    ensure!(error.contains("no connection") && error.contains("radar-admin (MQTT_ADMIN_USERNAME)"), "{error}");
    shipped.bridge.set(admin, "radar-bridge");
    let error = shipped.fails(&["add-agent", "pi"]).await?;
    ensure!(error.contains("the account radar-bridge (MQTT_ADMIN_USERNAME) may not make accounts"), "{error}");
    for name in [admin, file] {
        shipped.bridge.set(name, "");
    }
    for arguments in [&["add-agent", "pi"][..], &["remove-agent", "pi"]] {
        let error = shipped.fails(arguments).await?;
        ensure!(error.contains("set MQTT_ADMIN_USERNAME and MQTT_ADMIN_PASSWORD_FILE"), "{error}");
    }
    shipped.bridge.set(admin, "radar-admin");
    shipped.bridge.set(file, &right);

    // A broker that has accounts of its own already gets the bridge's beside them.
    shipped.bridge.set("MQTT_TOPIC_PREFIX", "radar/site7");
    let room = tempfile::tempdir()?;
    let place = room.path().display().to_string();
    shipped.call(&["init-broker", &place, "--running"]).await?;
    let path = room.path().join("bridge.password");
    assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
    let password = fs::read_to_string(&path)?;
    let account = ("radar-bridge@radar/site7", password.trim_end());
    let mut bridge = Peer::entered(shipped.port, "radar-bridge-radar-site7", account).await?;
    ensure!(bridge.publish("radar/site7/v1/pi/command", "x", false).await?);
    ensure!(!bridge.publish("radar/v1/pi/command", "x", false).await?, "it reaches another site");
    ensure!(!bridge.publish("$CONTROL/dynamic-security/v1", "{}", false).await?, "it makes accounts");
    fs::remove_file(&path)?;
    let error = shipped.fails(&["init-broker", &place, "--running"]).await?;
    ensure!(error.contains("has an account radar-bridge@radar/site7 already") && !path.exists(), "{error}");
    Ok(())
}

// E8
#[tokio::test]
async fn a_broker_that_lets_everybody_in_has_no_accounts_to_make() -> Result<()> {
    let broker = Broker::open(&Options::default()).await?;
    let bridge = world::bridge(&broker.url())?;
    let output = bridge.call(&["add-agent", "pi"]).await?;
    let error = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success() && output.stdout.is_empty(), "{error}");
    ensure!(error.contains("has no dynamic-security plugin"), "{error}");
    broker.stop().await?;
    let before = Duration::from_secs(14);
    let output = tokio::time::timeout(before, bridge.call(&["remove-agent", "pi"])).await??;
    let error = String::from_utf8(output.stderr)?;
    ensure!(error.contains("nothing was removed") && error.contains("nothing listens at"), "{error}");
    Ok(())
}

// E8, DM19
#[tokio::test]
async fn an_agent_with_a_wrong_password_says_so() -> Result<()> {
    let shipped = Shipped::start().await?;
    shipped.add(&["pi"]).await?;
    let mut agent = world::agent("pi", "unix:///nowhere/docker.sock", &format!("mqtt://127.0.0.1:{}", shipped.port))?;
    agent.set("MQTT_USERNAME", "radar-agent-pi");
    agent.set("MQTT_PASSWORD", "wrong");
    agent.start().await?;
    agent.wait_log("does not authorize the account `radar-agent-pi`; check MQTT_USERNAME and MQTT_PASSWORD").await?;
    agent.stop().await
}

/// How long many accounts take: by hand, `--ignored`.
#[tokio::test]
#[ignore = "a measurement"]
async fn a_thousand_accounts() -> Result<()> {
    let shipped = Shipped::start().await?;
    let mut began = radar_tests::clock::wall_nanos();
    for number in 0..1000 {
        shipped.add(&[&format!("pi-{number}")]).await?;
        if [0, 9, 99, 499, 999].contains(&number) {
            let now = radar_tests::clock::wall_nanos();
            let size = fs::metadata(shipped.data().join("dynamic-security.json"))?.len();
            let took = Duration::from_nanos(u64::try_from(now - began)?);
            std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("{number}: {took:?} since, {size} bytes\n").as_bytes(),
            )?;
            began = now;
        }
    }
    Ok(())
}
