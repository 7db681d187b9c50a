//! A Mosquitto with the configuration that is shipped, and accounts that our own commands make. Only paths and ports of
//! the file are others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use radar_tests::certificates::Certificates;
use radar_tests::port;
use radar_tests::process::{self, Launch, Process, Seat};

use crate::world::{self, DEADLINE, Program};

/// The broker, and a bridge that has its account there.
pub(crate) struct Shipped {
    directory: PathBuf,
    seat: Seat,
    pub(crate) port: u16,
    tls_port: u16,
    pub(crate) bridge: Program,
}

impl Shipped {
    /// A broker with the plugin, whose first accounts `init-broker` has made.
    pub(crate) async fn start() -> Result<Self> {
        let mut shipped = Self::prepared()?;
        let made = shipped.accounts();
        shipped.call(&["init-broker", &made.display().to_string()]).await?;
        // The plugin writes in a directory of the broker's own.
        fs::copy(made.join("dynamic-security.json"), shipped.data().join("dynamic-security.json"))?;
        shipped.bridge.set("MQTT_ADMIN_USERNAME", "radar-admin");
        shipped.bridge.set("MQTT_ADMIN_PASSWORD_FILE", &made.join("admin.password").display().to_string());
        shipped.with_bridge_account();
        shipped.configure(|text| text)?;
        shipped.open().await?;
        Ok(shipped)
    }

    /// A broker without the plugin, with a password file and an ACL file for which these agents were added.
    pub(crate) async fn with_files(agents: &[&str]) -> Result<(Self, BTreeMap<String, String>)> {
        let mut shipped = Self::prepared()?;
        let made = shipped.accounts();
        shipped.call(&["init-broker", &made.display().to_string(), "--format", "mosquitto-acl"]).await?;
        let mut passwords = BTreeMap::new();
        for agent in agents {
            let output = shipped.directory.join(agent);
            let place = output.display().to_string();
            shipped.call(&["add-agent", agent, "--format", "mosquitto-acl", "--output", &place]).await?;
            for name in ["passwords", "acl"] {
                let both = fs::read_to_string(made.join(name))? + &fs::read_to_string(output.join(name))?;
                fs::write(made.join(name), both)?;
            }
            let env = variables(&fs::read_to_string(output.join("agent.env"))?);
            passwords.insert((*agent).to_owned(), env.get("MQTT_PASSWORD").context("a password")?.clone());
        }
        shipped.with_bridge_account();
        let files =
            format!("password_file {}\nacl_file {}\n", made.join("passwords").display(), made.join("acl").display());
        shipped.configure(|text| {
            let kept = text.lines().filter(|line| !line.starts_with("plugin"));
            files + &kept.collect::<Vec<_>>().join("\n")
        })?;
        shipped.open().await?;
        Ok((shipped, passwords))
    }

    fn prepared() -> Result<Self> {
        let directory = process::directory("accounts")?;
        for name in ["data", "config/certs"] {
            fs::create_dir_all(directory.join(name))?;
        }
        Certificates::make(&directory.join("config/certs"))?;
        let (port, tls_port) = (port::free()?, port::free()?);
        let bridge = world::bridge(&format!("mqtt://127.0.0.1:{port}"))?;
        Ok(Self { directory, seat: Seat::default(), port, tls_port, bridge })
    }

    fn with_bridge_account(&mut self) {
        let file = self.accounts().join("bridge.password").display().to_string();
        self.bridge.set("MQTT_USERNAME", "radar-bridge");
        self.bridge.set("MQTT_PASSWORD_FILE", &file);
    }

    fn configure(&self, change: impl FnOnce(String) -> String) -> Result<()> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mosquitto/mosquitto.conf");
        let mut text = fs::read_to_string(shipped)?;
        let plugin = plugin()?.display().to_string();
        let own = self.directory.display().to_string();
        for (from, to) in [
            ("plugin /usr/lib/mosquitto_dynamic_security.so", format!("plugin {plugin}")),
            (" /mosquitto/", format!(" {own}/")),
            ("\nlistener 8883\n", format!("\nlistener {} 127.0.0.1\n", self.tls_port)),
            ("\nlistener 1883 127.0.0.1\n", format!("\nlistener {} 127.0.0.1\n", self.port)),
        ] {
            ensure!(text.contains(from), "`{from}` is not in the shipped file");
            text = text.replace(from, &to);
        }
        // Started by root it would become the user mosquitto, who cannot read this directory.
        fs::write(self.directory.join("mosquitto.conf"), format!("user root\n{}", change(text)))?;
        Ok(())
    }

    /// Starts it, for the first time or again.
    pub(crate) async fn open(&self) -> Result<()> {
        let launch = Launch::new("mosquitto", self.directory.join("log"))
            .args(["-c".into(), self.directory.join("mosquitto.conf")])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .owns(&self.directory);
        self.seat.start(&launch)?;
        for port in [self.port, self.tls_port] {
            self.seat.listens("the broker", port, DEADLINE).await?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn close(&self) -> Result<()> {
        self.seat.terminate(DEADLINE).await
    }

    /// What it has logged.
    pub(crate) fn tail(&self) -> String {
        self.seat.ask(Process::tail).unwrap_or_default()
    }

    /// Where the broker keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What `init-broker` has written.
    pub(crate) fn accounts(&self) -> PathBuf {
        self.directory.join("accounts")
    }

    /// The certificate of the TLS listener's authority.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.join("config/certs/ca.pem")
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("mqtts://127.0.0.1:{}", self.tls_port)
    }

    /// The password of an account that `init-broker` has made.
    pub(crate) fn password(&self, file: &str) -> Result<String> {
        Ok(fs::read_to_string(self.accounts().join(file))?.trim_end().to_owned())
    }

    /// Runs a command of the bridge that must succeed; what it printed.
    pub(crate) async fn call(&self, arguments: &[&str]) -> Result<String> {
        let output = self.bridge.call(arguments).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {said}{}", self.tail());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a command of the bridge that must fail, and says nothing on standard output; what it complains of.
    pub(crate) async fn fails(&self, arguments: &[&str]) -> Result<String> {
        let output = self.bridge.call(arguments).await?;
        ensure!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}: {output:?}");
        Ok(String::from_utf8(output.stderr)?)
    }

    /// Adds an agent; the variables that were printed for its host.
    pub(crate) async fn add(&self, more: &[&str]) -> Result<BTreeMap<String, String>> {
        Ok(variables(&self.call(&[&["add-agent"], more].concat()).await?))
    }
}

/// The lines of an environment file.
pub(crate) fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    lines.map(|(variable, value)| (variable.to_owned(), value.to_owned())).collect()
}

/// Where this machine's package has put the plugin.
fn plugin() -> Result<PathBuf> {
    let places = fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path());
    let all = [PathBuf::from("/usr/lib")].into_iter().chain(places);
    let mut found = all.map(|place| place.join("mosquitto_dynamic_security.so")).filter(|path| path.exists());
    found.next().context("mosquitto_dynamic_security.so is not installed; it comes with the package mosquitto")
}
