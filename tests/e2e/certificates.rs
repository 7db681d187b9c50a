//! What `deploy/make-ca` makes, in front of those who judge it: openssl, a real broker, and our own programs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use radar_tests::broker::{Accounts, Broker, Options};
use radar_tests::certificates::{Certificates, make_ca};
use radar_tests::process;
use radar_tests::proxy::{Proxy, Target};
use radar_tests::wait::until;

use crate::world::{self, DEADLINE, Program};

fn openssl(arguments: &[&str]) -> Result<String> {
    let output = Command::new("openssl").args(arguments).output().context("openssl")?;
    ensure!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `make-ca` says of itself when it fails, with its exit code.
fn refused(directory: &Path, arguments: &[&str]) -> Result<(i32, String)> {
    let output = make_ca(directory, arguments)?;
    Ok((output.status.code().context("a code")?, String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

// E8
#[test]
fn what_is_made_is_what_openssl_takes_strictly_and_nothing_is_overwritten() -> Result<()> {
    let room = tempfile::tempdir()?;
    let directory = room.path().join("ca");
    let made = make_ca(&directory, &["broker.example", "*.home.arpa", "10.0.0.5", "fd00::2"])?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = make_ca(&directory, &["--client", "pi"])?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = |name: &str| directory.join(name).display().to_string();
    for (name, purpose, words) in [
        ("ca.pem", "any", &["CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign"][..]),
        (
            "server.pem",
            "sslserver",
            &[
                "CA:FALSE",
                "Digital Signature",
                "TLS Web Server Authentication",
                "Authority Key Identifier",
                "DNS:broker.example, DNS:*.home.arpa, IP Address:10.0.0.5, IP Address:FD00:0:0:0:0:0:0:2",
            ],
        ),
        ("clients/pi.pem", "sslclient", &["CN = pi", "CA:FALSE", "TLS Web Client Authentication", "DNS:pi"]),
    ] {
        let text = openssl(&["x509", "-in", &file(name), "-noout", "-text"])?;
        for word in
            words.iter().chain(&["Version: 3 (0x2)", "prime256v1", "ecdsa-with-SHA256", "Subject Key Identifier"])
        {
            assert!(text.contains(word), "{name} lacks {word}: {text}");
        }
        openssl(&["verify", "-x509_strict", "-purpose", purpose, "-CAfile", &file("ca.pem"), &file(name)])?;
    }
    for (name, mode) in [("ca.key", 0o600), ("server.key", 0o600), ("clients/pi.key", 0o600), ("ca.pem", 0o644)] {
        assert_eq!(fs::metadata(file(name))?.permissions().mode() & 0o777, mode, "{name}");
    }
    let whole = names(&directory)?;
    assert_eq!(whole, ["ca.key", "ca.pem", "clients", "server.key", "server.pem"]);
    let [authority, server] = ["ca.pem", "server.pem"].map(|name| fs::read(file(name)));
    let (authority, server) = (authority?, server?);

    // What it does not do, and that it then leaves everything as it was.
    for (arguments, words) in [
        (&["broker.example"][..], "--renew"),
        (&["--client", "pi"], "there already"),
        (&["--client", "../pi"], "a name has 1 to 64"),
        (&["--renew", "https://broker"], "leave out scheme and port"),
        (&["--renew", "300.1.1.1"], "failed"),
        (&["--renew", "--days", "4000"], "825"),
        (&["--nonsense"], "--help"),
    ] {
        let (code, said) = refused(&directory, arguments)?;
        assert!(code == 1 && said.contains(words), "{arguments:?}: {code}: {said}");
        assert_eq!(names(&directory)?, whole, "{arguments:?}");
        assert!(fs::read(file("server.pem"))? == server, "{arguments:?}");
    }
    assert_eq!(refused(&room.path().join("none"), &["--renew"])?.0, 1);
    assert!(refused(&room.path().join("bad"), &["not a host"])?.1.contains("neither a name nor an address"));
    let left = room.path().join("bad");
    assert!(!left.exists() || names(&left)?.is_empty());

    // Renewal keeps the names and the CA; the certificate before is kept beside it.
    let renewed = make_ca(&directory, &["--renew", "--days", "10"])?;
    ensure!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
    assert!(String::from_utf8_lossy(&renewed.stdout).contains("systemctl reload mosquitto"));
    assert!(fs::read(file("ca.pem"))? == authority && fs::read(file("server.pem.old"))? == server);
    let text = openssl(&["x509", "-in", &file("server.pem"), "-noout", "-ext", "subjectAltName"])?;
    assert!(text.contains("DNS:broker.example, DNS:*.home.arpa, IP Address:10.0.0.5, IP Address:FD00"), "{text}");
    // It tells what expires.
    let (code, said) = refused(&directory, &["--check"])?;
    assert!(code == 2 && said.contains("--renew"), "{code}: {said}");
    assert_eq!(refused(&directory, &["--check", "5"])?.0, 0);
    assert_eq!(refused(&room.path().join("none"), &["--check"])?.0, 1);
    // A run that was killed between its two renames.
    fs::copy(file("server.key.old"), file("server.key"))?;
    let (code, said) = refused(&directory, &["--check", "5"])?;
    assert!(code == 2 && said.contains("--renew"), "{code}: {said}");
    assert!(make_ca(&directory, &["--renew"])?.status.success());
    assert_eq!(refused(&directory, &["--check"])?.0, 0);
    Ok(())
}

// E8
#[test]
fn a_renewed_certificate_belongs_to_whom_the_one_before_did() -> Result<()> {
    if !process::is_root() {
        return Ok(());
    }
    let room = tempfile::tempdir()?;
    let directory = room.path().join("ca");
    for arguments in [&["broker.example", "--owner", "1883:1884"][..], &["--client", "pi"]] {
        ensure!(make_ca(&directory, arguments)?.status.success());
    }
    let file = |name: &str| directory.join(name);
    chown(file("clients/pi.key"), Some(65533), None)?;
    fs::set_permissions(file("clients/pi.key"), fs::Permissions::from_mode(0o640))?;
    let [server, client] = ["server.pem", "clients/pi.pem"].map(|name| fs::read(file(name)));
    for arguments in [&["--renew"][..], &["--renew", "--client", "pi"]] {
        ensure!(make_ca(&directory, arguments)?.status.success());
    }
    assert!(fs::read(file("server.pem"))? != server? && fs::read(file("clients/pi.pem"))? != client?);
    for (name, expect) in [
        ("server.key", (1883, 1884, 0o600)),
        ("server.pem", (1883, 1884, 0o644)),
        ("clients/pi.key", (65533, 0, 0o640)),
        ("ca.key", (0, 0, 0o600)),
    ] {
        let found = fs::metadata(file(name))?;
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), expect, "{name}");
    }
    ensure!(make_ca(&directory, &["--renew", "--owner", "1885"])?.status.success());
    assert_eq!(fs::metadata(file("server.key"))?.uid(), 1885);
    Ok(())
}

/// The serial number of the certificate that a broker shows.
fn serial(port: u16, certificates: &Certificates) -> Result<String> {
    let [ca, cert, key] = [certificates.ca(), certificates.client(), certificates.client_key()];
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{port} -CAfile {} -cert {} -key {} </dev/null 2>/dev/null | openssl x509 -noout -serial",
        ca.display(),
        cert.display(),
        key.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().context("openssl s_client")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn show(agent: &mut Program, certificates: &Certificates, name: &str) {
    let file = |name: &str| certificates.ca().with_file_name(name).display().to_string();
    agent.set("MQTT_CA_FILE", &file("ca.pem"));
    agent.set("MQTT_CERT_FILE", &file(&format!("clients/{name}.pem")));
    agent.set("MQTT_KEY_FILE", &file(&format!("clients/{name}.key")));
}

// E8: the certificate is the account; both sides renew while they run.
#[tokio::test]
async fn a_client_certificate_is_an_account_and_everything_is_renewed_in_flight() -> Result<()> {
    let accounts = Accounts::fleet("radar", &["pi"]);
    let options = Options {
        tls: true,
        client_certificates: true,
        identity: true,
        accounts: Some(accounts),
        ..Options::default()
    };
    let broker = Broker::open(&options).await?;
    let certificates = broker.certificates().context("certificates")?;
    certificates.call(&["--client", "pi"])?;
    let port = broker.tls_port().context("TLS")?;
    let between = Proxy::start(Target::Port(port)).await?;
    let mut bridge = world::bridge(&broker.url())?;
    bridge.set("MQTT_USERNAME", "bridge");
    bridge.set("MQTT_PASSWORD", "bridge-password");
    let nowhere = "unix:///nowhere/docker.sock";
    // By its address, and after the renewal by its name.
    let mut agent = world::agent("pi", nowhere, &format!("mqtts://127.0.0.1:{}", between.port()))?;
    show(&mut agent, certificates, "pi");
    bridge.start().await?;
    agent.start().await?;
    bridge.wait_log("pi online").await?;

    let first = serial(port, certificates)?;
    certificates.call(&["--renew"])?;
    certificates.call(&["--renew", "--client", "pi"])?;
    broker.reload();
    until("the new certificate at the broker", DEADLINE, async || {
        let now = serial(port, certificates).unwrap_or_default();
        if now.starts_with("serial=") && now != first { Ok(()) } else { Err(now) }
    })
    .await?;
    let lost = |agent: &Program| agent.log().matches("no connection to the broker").count();
    assert_eq!(lost(&agent), 0, "a connection that stands stays: {}", agent.log());
    between.reset();
    until("the agent again", DEADLINE, async || {
        let (origins, log) = (broker.origins("radar-agent-pi").len(), agent.log());
        if lost(&agent) > 0 && origins > 1 { Ok(()) } else { Err(format!("{origins} connections, {log}")) }
    })
    .await?;
    assert!(!agent.log().contains("certificate"), "{}", agent.log());
    agent.stop().await?;
    agent.set("MQTT_URL", &format!("mqtts://localhost:{port}"));
    agent.start().await?;
    bridge.wait_agent("pi", "the agent by the broker's name", |line| line["state"] == "online").await?;
    Ok(())
}

// E8: as the built agent says it.
#[tokio::test]
async fn an_agent_that_is_not_let_in_says_which_fault_it_was() -> Result<()> {
    let options = Options { tls: true, accounts: Some(Accounts::fleet("radar", &["pi"])), ..Options::default() };
    let broker = Broker::open(&options).await?;
    let ours = broker.certificates().context("certificates")?.ca().display().to_string();
    let room = tempfile::tempdir()?;
    let theirs = Certificates::make(room.path())?.ca().display().to_string();
    let url = broker.tls_url().context("TLS")?;
    let password = ("MQTT_PASSWORD", "pi-password");
    for (settings, words) in [
        (&[("MQTT_CA_FILE", &*theirs), password][..], "is not signed by an authority that is trusted here"),
        (&[("MQTT_CA_FILE", &*ours), ("MQTT_PASSWORD", "hunter2")], "MQTT_USERNAME and MQTT_PASSWORD"),
        (&[("MQTT_CA_FILE", &*ours), ("MQTT_USERNAME", "nobody"), password], "the account `nobody`"),
        (&[("MQTT_URL", &*broker.url()), ("MQTT_USERNAME", ""), ("MQTT_PASSWORD", "")], "a client without an account"),
    ] {
        let mut agent = world::agent("pi", "unix:///nowhere/docker.sock", &url)?;
        agent.set("MQTT_USERNAME", "pi");
        settings.iter().for_each(|(variable, value)| agent.set(variable, value));
        agent.start().await?;
        agent.wait_log(words).await?;
        assert!(!agent.log().contains("hunter2"), "{}", agent.log());
        agent.stop().await?;
    }
    Ok(())
}
