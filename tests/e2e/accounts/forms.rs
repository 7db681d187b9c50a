//! The forms in which a host is told: read by the programs for which they are made.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use radar_tests::programs::put;
use tokio::process::Command;

use super::shipped::{Shipped, variables};

const NAME: &str = "Küche 2 (old), 3rd @home";

async fn run(command: &mut Command) -> Result<String> {
    let output = command.output().await?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn known(variables: &BTreeMap<String, String>) -> Result<()> {
    let table = radar_agent::settings::table();
    for variable in variables.keys() {
        ensure!(table.iter().any(|setting| setting.variable == variable), "{variable} is no setting of the agent");
    }
    // The agent itself takes them, the certificate's place excepted.
    let env = |name: &str| variables.get(name).filter(|_| name != "MQTT_CA_FILE").cloned();
    radar_agent::Settings::load(None, env)?;
    Ok(())
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

// E8
#[tokio::test]
async fn a_script_for_docker_starts_it_with_what_was_made() -> Result<()> {
    let shipped = Shipped::start().await?;
    let (url, ca) = (shipped.tls_url(), shipped.ca().display().to_string());
    let room = tempfile::tempdir()?;
    let (bin, host) = (room.path().join("bin"), room.path().join("host"));
    fs::create_dir(&bin)?;
    // In the engine's place: what it is called with, one argument a line. It has no container, and its image by a file.
    let engine = "#!/bin/sh\ncase $1 in\nimage) [ -e \"$RADAR_DIR.image\" ] ;;\ncontainer) [ -e \"$RADAR_DIR.there\" ] ;;\n\
                  pull) exit 1 ;;\nrun) printf '%s\\n' \"$@\" ;;\nesac\n";
    put(&bin.join("docker"), engine)?;
    put(&bin.join("stat"), "#!/bin/sh\necho 998\n")?;
    let script = shipped
        .call(&[
            "add-agent",
            NAME,
            "--url",
            &url,
            "--ca",
            &ca,
            "--format",
            "run",
            "--allow",
            "all",
            "--image",
            "r:5000/a:1",
        ])
        .await?;
    fs::write(room.path().join("run.sh"), script)?;
    let (path, socket) = (format!("{}:/usr/bin:/bin", bin.display()), room.path().join("engine.sock"));
    let start = || {
        let mut command = Command::new("sh");
        command.arg(room.path().join("run.sh"));
        command.env("PATH", &path).env("RADAR_DIR", &host).env("DOCKER_SOCKET", &socket);
        command
    };
    // What a host does not have is said before anything is made there.
    let refused = async || anyhow::Ok(run(&mut start()).await.err().context("it ran")?.to_string());
    let told = refused().await?;
    ensure!(told.contains("engine.sock is no socket"), "{told}");
    let _engine = std::os::unix::net::UnixListener::bind(&socket)?;
    let told = refused().await?;
    ensure!(told.contains("the image r:5000/a:1 is not here and cannot be pulled"), "{told}");
    fs::write(host.with_extension("image"), "")?;
    fs::write(host.with_extension("there"), "")?;
    let told = refused().await?;
    ensure!(told.contains("there is a container radar-agent already") && !host.exists(), "{told}");
    fs::remove_file(host.with_extension("there"))?;
    let said = run(&mut start()).await?;

    let arguments: Vec<_> = said.lines().collect();
    let place = host.display();
    assert_eq!((arguments[0], arguments.last().copied()), ("run", Some("r:5000/a:1")));
    for expected in [
        format!("{place}/agent.env"),
        format!("{place}/ca.pem:/etc/radar-agent/ca.pem:ro"),
        "radar-agent:/var/lib/radar-agent".to_owned(),
        format!("{}:/var/run/docker.sock", socket.display()),
        "998".to_owned(),
        "--read-only".to_owned(),
    ] {
        ensure!(arguments.contains(&expected.as_str()), "{expected} is not among {arguments:?}");
    }
    assert_eq!(fs::read_to_string(host.join("ca.pem"))?, fs::read_to_string(shipped.ca())?);
    assert_eq!(mode(&host.join("agent.env"))?, 0o600);
    let handed = variables(&fs::read_to_string(host.join("agent.env"))?);
    assert_eq!((&*handed["AGENT_NAME"], &*handed["AGENT_ID"]), (NAME, "K-che-2-old-3rd-home"));
    ensure!(!said.contains(&handed["MQTT_PASSWORD"]), "{said}");
    known(&handed)
}

// E8
#[tokio::test]
async fn a_compose_file_is_one_for_compose() -> Result<()> {
    let shipped = Shipped::start().await?;
    let (url, ca) = (shipped.tls_url(), shipped.ca().display().to_string());
    let room = tempfile::tempdir()?;
    let beside = room.path().join("beside");
    let arguments = |name| ["add-agent", name, "--url", &*url, "--ca", &*ca, "--format", "compose"];
    let place = beside.display().to_string();
    shipped.call(&[&arguments(NAME)[..], &["--output", &place]].concat()).await?;
    let modes = ["compose.yaml", "agent.env", "ca.pem"].map(|name| mode(&beside.join(name)));
    assert_eq!(modes.into_iter().collect::<Result<Vec<_>>>()?, [0o600, 0o600, 0o644]);
    let alone = room.path().join("alone");
    fs::create_dir(&alone)?;
    fs::write(alone.join("compose.yaml"), shipped.call(&arguments("attic")).await?)?;

    for (directory, name, id) in [(&beside, NAME, "K-che-2-old-3rd-home"), (&alone, "attic", "attic")] {
        let mut compose = Command::new("docker-compose");
        compose.args(["-f", "compose.yaml", "config"]).current_dir(directory).env("DOCKER_GID", "998");
        let said = run(&mut compose).await.context("docker-compose")?;
        for expected in [
            format!("AGENT_ID: {id}\n"),
            "MQTT_CA_FILE: /etc/radar-agent/ca.pem\n".to_owned(),
            format!("MQTT_USERNAME: radar-agent-{id}\n"),
            "/ca.pem:/etc/radar-agent/ca.pem:ro".to_owned(),
            "998".to_owned(),
        ] {
            ensure!(said.contains(&expected), "{expected} is not in {said}");
        }
        let environment = said.lines().filter_map(|line| line.strip_prefix("      ")?.split_once(": "));
        let environment = environment.filter(|(key, _)| key.starts_with("MQTT_") || key.starts_with("AGENT_"));
        let environment: BTreeMap<_, _> =
            environment.map(|(key, value)| (key.to_owned(), value.trim_matches('\'').to_owned())).collect();
        ensure!(environment.len() >= 7, "{environment:?}");
        if id == "attic" {
            assert_eq!(environment["AGENT_NAME"], name);
            known(&environment)?;
        }
        let mut without = Command::new("docker-compose");
        without.args(["-f", "compose.yaml", "config"]).current_dir(directory).env_remove("DOCKER_GID");
        let error = run(&mut without).await.unwrap_err().to_string();
        ensure!(error.contains("stat -c %g /var/run/docker.sock"), "{error}");
    }
    known(&variables(&fs::read_to_string(beside.join("agent.env"))?))
}
