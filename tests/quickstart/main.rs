//! `deploy/quickstart`, run as a new user runs it: on the programs as they are, with whatever engine is here or
//! one of its own. What the user sees is asserted on, and that nothing of it outlives it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_tests::server::Server;
use radar_tests::wait::until;
use radar_tests::{process, programs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use account::{Answer, publish};
use processes::{Known, family};
use script::Script;

mod account;
mod processes;
mod script;

/// Building takes a while when nothing is built yet.
const BUILT: Duration = Duration::from_secs(900);
const DEADLINE: Duration = Duration::from_secs(30);

// RR1, RR8
#[tokio::test]
async fn it_comes_up_closed_to_others_and_leaves_nothing_running() -> Result<()> {
    let directory = tempfile::tempdir_in("/tmp").context("a data directory")?;
    let data = directory.path().join("data");
    let mut script = Script::start(&data, &[])?;
    let agent = script.wait_online(BUILT).await?;

    let url = script.value("health").context("where /health is")?;
    assert_eq!(get(&url).await?, 200, "{}", script.output());
    for line in ["agents", "events", "command"] {
        let command = script.value(line).context("a command to copy")?.replace(" --follow", "");
        let printed = std::process::Command::new("sh").args(["-c", &command]).output()?;
        assert!(printed.status.success(), "{command}: {}", String::from_utf8_lossy(&printed.stderr));
        let told = if line == "agents" { &agent } else { "" };
        assert!(String::from_utf8_lossy(&printed.stdout).contains(told), "{command}");
    }
    everything_is_private(&data, &agent)?;
    the_agent_reaches_its_own_topics_only(&data, &agent).await?;

    let family = family(script.pid(), &data)?;
    for program in ["mosquitto", "radar-bridge", "radar-agent"] {
        assert!(family.iter().any(|known| known.name == program), "no {program} in {family:?}");
    }
    script.interrupt()?;
    assert_eq!(script.wait_exit(DEADLINE).await?, Some(0), "{}", script.output());
    nothing_is_left(&family, &data).await?;
    let output = script.output();
    assert!(output.contains("Stopping") && !output.contains("is killed"), "{output}");

    let mut again = Script::start(&data, &[])?;
    assert_eq!(again.wait_online(BUILT).await?, agent);
    let family = processes::family(again.pid(), &data)?;
    again.kill9().await?;
    nothing_is_left(&family, &data).await?;

    let server = Server::start().await?;
    let (id, token) = server.create_agent("kitchen");
    let url = server.url();
    let granted = [("SERVER_URL", url.as_str()), ("AGENT_ID", &id), ("AGENT_ENROLL_TOKEN", &token)];
    let mut relaying = Script::start(&data, &granted)?;
    assert_eq!(relaying.wait_online(BUILT).await?, id);
    let status = || server.view(&id).map(|view| view.status);
    until("the server to show the agent", DEADLINE, async || match status().as_deref() {
        Some("online") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    let family = processes::family(relaying.pid(), &data)?;
    relaying.terminate()?;
    assert_eq!(relaying.wait_exit(DEADLINE).await?, Some(0), "{}", relaying.output());
    nothing_is_left(&family, &data).await?;
    assert_eq!(status().as_deref(), Some("offline"));
    remove_as_root(&data)
}

// RR1: what it hands to itself by sudo is all that it was told, and stays nowhere when sudo refuses.
#[tokio::test]
async fn its_environment_goes_through_sudo_and_stays_nowhere() -> Result<()> {
    let room = tempfile::tempdir_in("/tmp").context("a room")?;
    let file = |name: &str| room.path().join(name);
    for name in ["bin", "tmp"] {
        fs::create_dir(file(name))?;
    }
    let socket = file("docker.sock");
    let _engine = std::os::unix::net::UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000))?;
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755))?;
    let host = format!("unix://{}", socket.display());
    programs::put(&file("bin/cargo"), "#!/bin/sh\necho cargo 1.95.0\n")?;
    // One that asks for a password in vain, and one that takes the environment away as sudo does.
    for (sudo, told) in [
        ("exit 1", "by sudo"),
        ("while [ \"$1\" != bash ]; do shift; done\nexec env -i PATH=\"$PATH\" \"$@\"", "run this as root"),
    ] {
        programs::put(&file("bin/sudo"), format!("#!/bin/sh\n{sudo}\n"))?;
        fs::set_permissions(file("tmp"), fs::Permissions::from_mode(0o777))?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/quickstart");
        let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "-i"];
        let words = if process::is_root() { &nobody[..] } else { &nobody[6..] };
        let mut nobody = std::process::Command::new(words[0]);
        nobody.args(&words[1..]);
        let path = format!("PATH={}:/usr/bin:/bin:/usr/sbin", file("bin").display());
        nobody.args([path, format!("DOCKER_HOST={host}"), format!("TMPDIR={}", file("tmp").display())]);
        let output = nobody.arg(script).output()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            !output.status.success() && said.contains(told) && said.contains(&*socket.display().to_string()),
            "{said}"
        );
        assert_eq!(fs::read_dir(file("tmp"))?.count(), 0, "{said}");
    }
    Ok(())
}

/// Passwords, accounts and rules are for their owner alone.
fn everything_is_private(data: &Path, agent: &str) -> Result<()> {
    let mode = |path: &Path| -> Result<u32> {
        let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
        Ok(metadata.permissions().mode() & 0o777)
    };
    assert_eq!(mode(data)?, 0o700);
    let (own, bridges) = (password_file(agent), "accounts/bridge/bridge.password");
    for file in [bridges, "api.key", &own, "broker/passwords", "broker/acl", "broker/mosquitto.conf"] {
        assert_eq!(mode(&data.join(file))?, 0o600, "{file}");
    }
    let passwords = fs::read_to_string(data.join("broker/passwords"))?;
    for file in [bridges, &own] {
        let password = fs::read_to_string(data.join(file))?;
        assert!(password.len() >= 32 && !passwords.contains(password.trim_end()), "{file} is short, or not hashed");
    }
    Ok(())
}

fn password_file(agent: &str) -> String {
    format!("accounts/agents/{agent}/password")
}

async fn the_agent_reaches_its_own_topics_only(data: &Path, agent: &str) -> Result<()> {
    let configuration = fs::read_to_string(data.join("broker/mosquitto.conf"))?;
    let port = configuration.lines().find_map(|line| line.strip_prefix("listener ")?.split(' ').next()?.parse().ok());
    let port = port.context("a listener")?;
    let password = fs::read_to_string(data.join(password_file(agent)))?;
    let name = format!("radar-agent-{agent}");
    let account = Some((name.as_str(), password.trim_end()));
    for (topic, expect) in [
        (format!("radar/v1/{agent}/event"), Answer::Taken),
        (format!("radar/v1/{agent}/resend"), Answer::Denied),
        (format!("radar/v1/{agent}/command"), Answer::Denied),
        ("radar/v1/another/event".to_owned(), Answer::Denied),
        ("radar/v1/another/status".to_owned(), Answer::Denied),
        ("elsewhere".to_owned(), Answer::Denied),
    ] {
        assert_eq!(publish(port, account, &topic).await?, expect, "{topic}");
    }
    let own = format!("radar/v1/{agent}/event");
    assert_eq!(publish(port, None, &own).await?, Answer::NotLetIn);
    assert_eq!(publish(port, Some((&name, "guessed")), &own).await?, Answer::NotLetIn);
    Ok(())
}

async fn get(url: &str) -> Result<u16> {
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).context("a URL")?;
    let mut connection = TcpStream::connect(address).await.context("the bridge")?;
    connection.write_all(format!("GET /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")
}

async fn nothing_is_left(family: &[Known], data: &Path) -> Result<()> {
    until("the end of all processes", DEADLINE, async || {
        let mut left: Vec<_> = family.iter().filter(|known| known.lives()).cloned().collect();
        left.extend(processes::family(0, data).unwrap_or_default());
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await
}

/// An engine of its own has written its data as root.
fn remove_as_root(data: &Path) -> Result<()> {
    if fs::remove_dir_all(data).is_ok() {
        return Ok(());
    }
    let removed = std::process::Command::new("sudo").args(["-n", "rm", "-rf", "--one-file-system"]).arg(data).status();
    ensure!(removed.context("sudo")?.success(), "{} is not removed", data.display());
    Ok(())
}
