//! `deploy/up` and the Compose files, run as a new user runs them. The agent's image is the one that is released; that of
//! the bridge is put together from the program of this test run, since its release takes minutes to compile, and
//! Mosquitto's from the host's.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use bollard::models::HealthStatusEnum;
use radar_link::settings::Setting;
use radar_tests::engine::Engine;
use radar_tests::programs::{self, built};
use radar_tests::wait::until;
use radar_tests::{port, process};
use serde_json::Value;
use tokio::process::Command;

use crate::running::{DEADLINE, health};
use crate::workshop::{AGENT, docker, put, repository};

const MOSQUITTO: &str = "mosquitto:test";
const PLUGIN: &str = "mosquitto_dynamic_security.so";

/// A clone of what `deploy/up` needs, on an engine of its own.
struct Site {
    engine: Engine,
    directory: PathBuf,
    variables: [(&'static str, String); 2],
    /// Of the agent.
    image: String,
    /// Of the broker.
    port: u16,
}

impl Site {
    async fn set() -> Result<Option<Self>> {
        let engine = Engine::start().await?;
        let Some(agent) = put(&engine, AGENT).await? else { return Ok(None) };
        let bridge = bridge(&engine).await?;
        let plugin = plugin()?;
        let files = [
            (Path::new("/usr/sbin/mosquitto"), "/usr/sbin/mosquitto"),
            (&*plugin, "/usr/lib/mosquitto_dynamic_security.so"),
        ];
        let start = r#"CMD ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]"#;
        engine.make_image_with(MOSQUITTO, &files, &[start]).await?;
        let directory = process::directory("compose")?;
        // Others of the host may look into a clone.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        let copied = Command::new("cp").arg("-r").arg(repository().join("deploy")).arg(&directory).status().await?;
        ensure!(copied.success(), "the clone");
        let variables = [("DOCKER_HOST", engine.host()), ("COMPOSE_PROJECT_NAME", engine.unique("site"))];
        let site = Self { engine, directory, variables, image: agent, port: port::free()? };
        // What somebody has set before the first run.
        let images = [
            ("RADAR_AGENT_IMAGE", &*site.image),
            ("RADAR_BRIDGE_IMAGE", &bridge),
            ("MOSQUITTO_IMAGE", MOSQUITTO),
            ("DOCKER_GID", "1"),
            ("SERVER_USERNAME", "'me'"),
            ("SERVER_URL", "nonsense"),
        ];
        for (variable, value) in images {
            site.set_variable(variable, value)?;
        }
        for variable in ["BRIDGE_PORT", "BRIDGE_API_PORT"] {
            site.set_variable(variable, &port::free()?.to_string())?;
        }
        // As an editor leaves it that ends no last line.
        let port = format!("MOSQUITTO_PORT=\"{}\" # the agents'", site.port);
        fs::write(site.path(".env"), fs::read_to_string(site.path(".env"))? + &port)?;
        fs::set_permissions(site.path(".env"), fs::Permissions::from_mode(0o640))?;
        Ok(Some(site))
    }

    /// In `deploy/.env`, in place of what it was.
    fn set_variable(&self, variable: &str, value: &str) -> Result<()> {
        let file = self.path(".env");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let others = text.lines().filter(|line| !line.starts_with(&format!("{variable}=")));
        let lines: Vec<_> = others.map(str::to_owned).chain([format!("{variable}={value}\n")]).collect();
        Ok(fs::write(file, lines.join("\n"))?)
    }

    /// What a variable of `deploy/.env` is.
    fn variable(&self, variable: &str) -> Result<String> {
        let text = fs::read_to_string(self.path(".env"))?;
        let value = text.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='));
        Ok(value.with_context(|| format!("no {variable} in {text}"))?.to_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join("deploy").join(name)
    }

    /// Runs a program of the clone, or of the host, as root.
    async fn run(&self, words: &[&str]) -> Result<Output> {
        let mut command = if process::is_root() { Command::new("env") } else { Command::new("sudo") };
        if !process::is_root() {
            command.args(["-n", "env"]);
        }
        command.args(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(words).current_dir(&self.directory).stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.with_context(|| words.join(" "))
    }

    /// The same, and it has to succeed; what it printed.
    async fn say(&self, words: &[&str]) -> Result<String> {
        let output = self.run(words).await?;
        let (printed, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{}: {printed}{told}", words.join(" "));
        Ok(printed.into_owned())
    }

    async fn compose(&self, words: &[&str]) -> Result<String> {
        self.say(
            &[&["docker-compose", "--file", "deploy/compose.yaml", "--project-directory", "deploy"], words].concat(),
        )
        .await
    }

    /// It has to fail; what it said.
    async fn refuses(&self, words: &[&str]) -> Result<String> {
        let output = self.run(words).await?;
        ensure!(!output.status.success(), "{}: {}", words.join(" "), String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The address of a service's container; the engine forwards no ports.
    async fn address(&self, service: &str) -> Result<String> {
        let id = self.compose(&["ps", "-q", service]).await?;
        let form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        Ok(self.say(&["docker", "inspect", "--format", form, id.trim()]).await?.trim().to_owned())
    }

    /// The serial number of the certificate that the broker shows.
    async fn serial(&self) -> Result<String> {
        let address = self.address("mosquitto").await?;
        let script =
            format!("openssl s_client -connect {address}:8883 </dev/null 2>/dev/null | openssl x509 -noout -serial");
        self.say(&["sh", "-c", &script]).await
    }

    /// A program that calls that of the host with the network in which the broker's name is known.
    fn stand_for_another_host(&self) -> Result<()> {
        let docker = format!(
            "#!/bin/sh\n[ \"$1\" = run ] || exec /usr/bin/docker \"$@\"\nshift\n\
             exec /usr/bin/docker run --network {}_default \"$@\"\n",
            self.variables[1].1
        );
        fs::create_dir(self.path("bin"))?;
        programs::put(&self.path("bin").join("docker"), docker)
    }

    /// Waits until the bridge shows the agent so.
    async fn wait_agent(&self, id: &str, wanted: impl Fn(Option<&Value>) -> bool) -> Result<()> {
        until(&format!("{id} at the bridge"), DEADLINE, async || {
            let lines = self.compose(&["exec", "-T", "bridge", "radar-bridge", "agents", "--json"]).await?;
            let agents: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if wanted(agents.iter().find(|line| line["id"] == id)) { Ok(()) } else { Err(anyhow!(lines)) }
        })
        .await
    }

    /// The ids of its containers.
    async fn containers(&self) -> Result<BTreeSet<String>> {
        Ok(self.engine.ids().await?.into_iter().collect())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Some of it belongs to the containers' users; what cannot be removed is in /tmp.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The bridge with what the `Dockerfile` says of it.
async fn bridge(engine: &Engine) -> Result<String> {
    const FILES: &str = "bridge-files:1";
    const LINES: &str = r#"
COPY --chown=65532:65532 data /var/lib/radar-bridge
USER 65532:65532
ENV PATH=/:/bin
VOLUME /var/lib/radar-bridge
HEALTHCHECK --interval=2s --start-period=30s CMD ["/radar-bridge", "health"]
ENTRYPOINT ["/radar-bridge"]
"#;
    let programs = built().await?;
    let [program, radar] = ["radar-bridge", "radar"].map(|name| programs.join(name));
    engine.make_image_with(FILES, &[(&program, "/radar-bridge"), (&radar, "/radar")], &[]).await?;
    let context = tempfile::tempdir()?;
    fs::create_dir(context.path().join("data"))?;
    fs::write(context.path().join("Dockerfile"), format!("FROM {FILES}{LINES}"))?;
    let name = "radar-bridge:built".to_owned();
    docker(&engine.host(), &["build", "--quiet", "--tag", &name, &context.path().display().to_string()]).await?;
    Ok(name)
}

/// The lines of what is next under a word, without that word.
fn next<'a>(printed: &'a str, word: &str) -> Result<Vec<&'a str>> {
    let start = printed.find(&format!("\n  {word} ")).with_context(|| printed.to_owned())?;
    let lines = printed[start + 1..].lines().enumerate();
    let own = lines.take_while(|(at, line)| *at == 0 || line.starts_with("     "));
    Ok(own.map(|(_, line)| line.trim().trim_start_matches(word).trim()).collect())
}

/// Where Debian's package has the plugin.
fn plugin() -> Result<PathBuf> {
    let libraries = fs::read_dir("/usr/lib").context("/usr/lib")?.flatten().map(|entry| entry.path().join(PLUGIN));
    libraries
        .into_iter()
        .find(|file| file.exists())
        .with_context(|| format!("no {PLUGIN}: it is in the package mosquitto"))
}

fn online(line: Option<&Value>) -> bool {
    line.is_some_and(|line| line["state"] == "online" && line["containers"]["complete"] == true)
}

// E8, BD1
#[tokio::test]
async fn one_command_brings_up_a_broker_a_bridge_and_an_agent() -> Result<()> {
    let Some(site) = Site::set().await? else { return Ok(()) };
    for (host, words) in [
        (&[][..], "deploy/up HOST"),
        (&["fd00::2"], "IPv6"),
        (&["mqtts://broker.example:8883"], "leave out scheme and port"),
    ] {
        let told = site.refuses(&[&["deploy/up"], host].concat()).await?;
        assert!(told.contains(words), "{told}");
    }
    let up = ["deploy/up", "broker.example", "--name", "pi here"];
    let told = site.refuses(&[&up[..], &["--data", "deploy/kept"]].concat()).await?;
    assert!(told.contains("deploy/kept/secrets/server.password"), "{told}");
    let password =
        "rm deploy/kept/secrets/server.password; umask 077; echo secret >deploy/kept/secrets/server.password";
    site.say(&["sh", "-c", password]).await?;
    let told = site.refuses(&[&up[..], &["--data", "deploy/kept"]].concat()).await?;
    assert!(told.contains("SERVER_URL") && told.contains("bridge does not stay up"), "{told}");
    // What it knows it has written down.
    site.set_variable("SERVER_URL", "http://server.example")?;
    let printed = site.say(&up).await?;
    assert!(printed.contains("Running."), "{printed}");
    site.wait_agent("pi-here", online).await?;
    let before = site.containers().await?;
    assert_eq!(before.len(), 3, "{printed}");
    for id in &before {
        health(&site.engine, id, HealthStatusEnum::HEALTHY).await?;
    }

    // What was set stays, and what only this host knows is put right.
    assert_eq!(site.variable("MOSQUITTO_PORT")?, format!("\"{}\" # the agents'", site.port));
    assert_eq!(site.variable("SERVER_PASSWORD_FILE")?, "/run/secrets/server.password");
    let group = crate::running::group(&site.engine)?;
    assert_eq!(site.variable("DOCKER_GID")?, group);

    let mode = |name: &str| -> Result<(u32, u32)> {
        let found = fs::metadata(site.path(name)).with_context(|| name.to_owned())?;
        Ok((found.permissions().mode() & 0o777, found.uid()))
    };
    for (name, expect) in [
        ("kept/secrets/admin.password", (0o400, 65532)),
        ("kept/secrets/bridge.password", (0o400, 65532)),
        ("kept/secrets/server.password", (0o400, 65532)),
        ("kept/certs/server.key", (0o400, 1883)),
        ("kept/mosquitto", (0o700, 1883)),
        ("kept/agent.env", (0o640, 0)),
        (".env", (0o640, fs::metadata(&site.directory)?.uid())),
        ("kept/ca/ca.key", (0o600, 0)),
    ] {
        assert_eq!(mode(name)?, expect, "{name}");
    }

    // Who may use the engine may use Compose.
    let member = ["setpriv", "--reuid", "65533", "--regid", &group, "--clear-groups"];
    site.say(&[&member[..], &["docker-compose", "-f", "deploy/compose.yaml", "config", "--quiet"]].concat()).await?;

    // One more host, by the script that is made for it; it is the same engine, and what is its own there is named.
    let reached = format!("--url mqtts://broker.example:{} ", site.port);
    let add = next(&printed, "one more")?[0];
    assert!(add.contains(&reached) && add.contains(&format!("--image {}", site.image)), "{printed}");
    site.say(&["sh", "-c", &add.replace(&reached, "--url mqtts://mosquitto:8883 ")]).await?;
    assert_eq!(mode("../pi-attic.sh")?.0, 0o600);
    site.stand_for_another_host()?;
    let places = ["bin", "attic"].map(|name| site.path(name).display().to_string());
    let (path, directory) = (format!("PATH={}:/usr/bin:/bin", places[0]), format!("RADAR_DIR={}", places[1]));
    let socket = format!("DOCKER_SOCKET={}", site.engine.socket().display());
    site.say(&["env", &path, &directory, &socket, "sh", "pi-attic.sh"]).await?;
    site.wait_agent("pi-attic", online).await?;
    let removed = site.compose(&["run", "--rm", "-T", "admin", "remove-agent", "pi-attic"]).await?;
    assert!(removed.contains("pi-attic"), "{removed}");
    site.wait_agent("pi-attic", |line| line.is_none()).await?;
    site.engine.remove("radar-agent").await?;

    // The command line, from the bridge's image.
    let lines = next(&printed, "radar")?.join("\n");
    let api = format!("127.0.0.1:{} ", site.variable("BRIDGE_API_PORT")?);
    assert!(lines.contains(&api), "{printed}");
    let listed = lines.replace(&api, &format!("{}:8081 ", site.address("bridge").await?));
    let listed = site.say(&["sh", "-ec", &listed]).await?;
    assert!(listed.contains("pi-here"), "{listed}");
    assert_eq!(mode("../radar.key")?.0, 0o600);

    // Again: what runs goes on.
    let own = fs::read_to_string(site.path("kept/agent.env"))?;
    site.say(&up).await?;
    assert_eq!((site.containers().await?, fs::read_to_string(site.path("kept/agent.env"))?), (before.clone(), own));
    site.wait_agent("pi-here", online).await?;

    // A renewed certificate, which is soon to be renewed again; not one for another host.
    let first = site.serial().await?;
    site.say(&["deploy/make-ca", "--renew", "--days", "10", "deploy/kept/ca"]).await?;
    let told = site.refuses(&["deploy/up", "other.example"]).await?;
    assert!(told.contains("/kept/ca other.example mosquitto localhost broker.example\n"), "{told}");
    assert_eq!(site.serial().await?, first);
    let renewed = site.run(&up).await?;
    let (printed, told) = (String::from_utf8_lossy(&renewed.stdout), String::from_utf8_lossy(&renewed.stderr));
    assert!(renewed.status.success() && printed.contains("new certificate"), "{printed}{told}");
    assert!(told.contains("expires soon") && told.contains("make-ca --renew"), "{told}");
    until("the new certificate at the broker", DEADLINE, async || match site.serial().await {
        Ok(serial) if serial != first => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    assert_eq!(site.containers().await?, before);

    // All of it said in the environment, without a file.
    let variables = ["RADAR_AGENT_IMAGE", "RADAR_BRIDGE_IMAGE", "MOSQUITTO_IMAGE", "BRIDGE_PORT", "RADAR_DATA"];
    let said =
        variables.iter().map(|name| Ok(format!("{name}={}", site.variable(name)?))).collect::<Result<Vec<_>>>()?;
    fs::remove_file(site.path(".env"))?;
    let said = [&["env"], &said.iter().map(String::as_str).collect::<Vec<_>>()[..], &up].concat();
    site.say(&said).await?;
    assert_eq!(mode(".env")?.0, 0o644);
    site.wait_agent("pi-here", online).await?;
    site.compose(&["down", "--volumes"]).await?;
    assert!(site.containers().await?.is_empty());
    Ok(())
}

/// The variables that a Compose file sets in containers.
fn variables(text: &str) -> BTreeSet<&str> {
    let keys = text.lines().filter_map(|line| line.trim_start_matches([' ', '#']).split_once(": ").map(|(key, _)| key));
    keys.filter(|key| key.contains('_') && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')).collect()
}

// DM19
#[tokio::test]
async fn the_compose_files_set_what_there_is_and_compose_reads_them() -> Result<()> {
    let known = |table: Vec<Setting>| -> BTreeSet<String> {
        let files =
            table.iter().filter(|row| row.secret).map(|row| format!("{}_FILE", row.variable)).collect::<Vec<_>>();
        table.iter().map(|row| row.variable.to_owned()).chain(files).collect()
    };
    let known: BTreeSet<String> =
        known(radar_agent::settings::table()).into_iter().chain(known(radar_bridge::settings::table())).collect();
    for file in ["compose.yaml", "agent.compose.yaml"] {
        let path = repository().join("deploy").join(file);
        let text = fs::read_to_string(&path)?;
        let unknown: Vec<&str> = variables(&text).into_iter().filter(|name| !known.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} sets {unknown:?}, which no program knows");
        let site = tempfile::tempdir()?;
        fs::create_dir(site.path().join("data"))?;
        fs::copy(&path, site.path().join(file))?;
        for file in ["data/agent.env", "agent.env"] {
            fs::write(site.path().join(file), "")?;
        }
        let mut read = Command::new("docker-compose");
        read.args(["--file", file, "config", "--quiet"]).current_dir(site.path());
        let without = read.output().await?;
        let told = String::from_utf8_lossy(&without.stderr).into_owned();
        assert!(!without.status.success() && told.contains("DOCKER_GID"), "{file}: {told}");
        let with = read.env("DOCKER_GID", "999").output().await?;
        assert!(with.status.success(), "{file}: {}", String::from_utf8_lossy(&with.stderr));
    }
    Ok(())
}
