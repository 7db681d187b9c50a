//! A real Mosquitto on loopback with a configuration, data and log of its own, that can be stopped,
//! killed and started again on the same port and data. Beside it a plain subscriber, and a publisher for
//! payloads that no program of ours would send. Knows no topic of ours.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::certificates::Certificates;
use crate::port;
use crate::process::{self, Launch, Process, Seat};

mod accounts;
mod tap;

pub use accounts::Accounts;
pub use tap::{Seen, Tap};

const DEADLINE: Duration = Duration::from_secs(10);

/// What Mosquitto keeps on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persistence {
    /// Nothing.
    #[default]
    Off,
    /// Everything, saved at its stop and every 30 minutes.
    Default,
    /// Everything, saved at every change.
    EveryChange,
}

/// How the broker is set up; the default has no persistence, no TLS and lets everybody in.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What survives a restart.
    pub persistence: Persistence,
    /// A second listener with TLS, and certificates for it.
    pub tls: bool,
    /// The TLS listener asks for a client certificate.
    pub client_certificates: bool,
    /// The name in the client certificate is the account.
    pub identity: bool,
    /// A listener for MQTT over WebSocket.
    pub websocket: bool,
    /// Accounts and what they may do.
    pub accounts: Option<Accounts>,
    /// Messages under way to one client without acknowledgement; Mosquitto's default is 20.
    pub max_inflight: Option<u16>,
    /// More lines for the configuration file.
    pub more: String,
}

/// A broker, running or not. Everything of it is gone when it is dropped.
#[derive(Debug)]
pub struct Broker {
    directory: PathBuf,
    port: u16,
    tls_port: Option<u16>,
    websocket_port: Option<u16>,
    certificates: Option<Certificates>,
    process: Seat,
}

impl Broker {
    /// Makes a broker and starts it.
    pub async fn open(options: &Options) -> Result<Self> {
        let directory = process::directory("broker")?;
        fs::create_dir(directory.join("data")).context("the broker's data directory")?;
        let certificates = match options.tls {
            true => Some(Certificates::make(&directory)?),
            false => None,
        };
        let broker = Self {
            port: port::free()?,
            tls_port: options.tls.then(port::free).transpose()?,
            websocket_port: options.websocket.then(port::free).transpose()?,
            directory,
            certificates,
            process: Seat::default(),
        };
        if let Some(accounts) = &options.accounts {
            accounts.write(&broker.file("passwords"), &broker.file("acl"))?;
        }
        let configuration = broker.configuration(options).context("writing the configuration")?;
        fs::write(broker.file("mosquitto.conf"), configuration).context("the configuration file")?;
        broker.start().await?;
        Ok(broker)
    }

    /// The port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `mqtt://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// `mqtts://127.0.0.1:port`, where TLS was asked for.
    pub fn tls_url(&self) -> Option<String> {
        self.tls_port.map(|port| format!("mqtts://127.0.0.1:{port}"))
    }

    /// The port with TLS, where it was asked for.
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// `ws://127.0.0.1:port/mqtt`, where WebSocket was asked for.
    pub fn websocket_url(&self) -> Option<String> {
        self.websocket_port.map(|port| format!("ws://127.0.0.1:{port}/mqtt"))
    }

    /// The port of WebSocket, where it was asked for.
    pub fn websocket_port(&self) -> Option<u16> {
        self.websocket_port
    }

    /// SIGHUP: it reads certificates, accounts and rules anew.
    pub fn reload(&self) {
        self.process.ask(Process::hang_up);
    }

    /// From which addresses this client has connected.
    pub fn origins(&self, client: &str) -> Vec<String> {
        let log = fs::read_to_string(self.file("log")).unwrap_or_default();
        // `… New client connected from 127.0.0.1:40000 as pi (…`
        let lines = log.lines().filter_map(|line| line.split_once("New client connected from ")?.1.split_once(" as "));
        let ours = lines.filter(|(_, name)| name.split(' ').next() == Some(client));
        let address = |from: &str| from.rsplit_once(':').map_or(from, |(address, _)| address).to_owned();
        // Over WebSocket it is told as an address of IPv6.
        ours.map(|(from, _)| address(from.trim_start_matches("::ffff:"))).collect()
    }

    /// The certificates of the TLS listener.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// What the broker has saved so far; empty when nothing.
    pub fn saved(&self) -> Vec<u8> {
        fs::read(self.file("data/mosquitto.db")).unwrap_or_default()
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.ask(Process::pid)
    }

    /// SIGKILL, and waits for the end: what was not saved is lost.
    pub async fn kill9(&self) -> Result<()> {
        self.process.kill9(DEADLINE).await
    }

    /// SIGTERM, and waits for the end: with persistence everything is saved.
    pub async fn stop(&self) -> Result<()> {
        self.process.terminate(DEADLINE).await
    }

    /// SIGSTOP: connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.process.ask(Process::stop);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.process.ask(Process::cont);
    }

    /// Starts it (again) on the same ports and data, and waits until it listens.
    pub async fn start(&self) -> Result<()> {
        let launch = Launch::new("mosquitto", self.file("log"))
            .args(["-c"])
            .args([self.file("mosquitto.conf")])
            // Debian keeps it where a user's PATH does not look.
            .env("PATH", process::SYSTEM_PATH)
            .owns(&self.directory);
        self.process.start(&launch)?;
        let ports = [Some(self.port), self.tls_port, self.websocket_port];
        for port in ports.into_iter().flatten() {
            self.process.listens("the broker", port, DEADLINE).await?;
        }
        Ok(())
    }

    /// Subscribes a recorder.
    pub async fn tap(&self, filters: &[&str]) -> Result<Tap> {
        Tap::open(self.port, filters).await
    }

    /// Publishes any bytes on any topic and waits for the broker's acknowledgement.
    pub async fn publish_raw(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) -> Result<()> {
        tap::publish(self.port, topic, payload.into(), retain, None).await
    }

    /// The same with a content type.
    pub async fn publish_typed(
        &self,
        topic: &str,
        payload: impl Into<Vec<u8>>,
        retain: bool,
        content_type: &str,
    ) -> Result<()> {
        tap::publish(self.port, topic, payload.into(), retain, Some(content_type)).await
    }

    /// The retained message of a topic.
    pub async fn retained(&self, topic: &str) -> Result<Option<Seen>> {
        Ok(tap::retained(self.port, topic).await?.remove(topic))
    }

    /// All retained messages under a filter, by topic.
    pub async fn retained_under(&self, filter: &str) -> Result<BTreeMap<String, Seen>> {
        tap::retained(self.port, filter).await
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        self.process.ask(Process::tail).unwrap_or_default()
    }

    fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }

    fn configuration(&self, options: &Options) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        // Started by root it would become the user mosquitto, who cannot read this directory.
        writeln!(text, "user root\nsys_interval 0\nlog_dest stderr\nset_tcp_nodelay true")?;
        writeln!(text, "max_queued_messages 0")?;
        if let Some(count) = options.max_inflight {
            writeln!(text, "max_inflight_messages {count}")?;
        }
        match options.accounts {
            None => writeln!(text, "allow_anonymous true")?,
            Some(_) => {
                writeln!(text, "allow_anonymous false")?;
                writeln!(text, "password_file {}", self.file("passwords").display())?;
                writeln!(text, "acl_file {}", self.file("acl").display())?;
            }
        }
        if options.persistence != Persistence::Off {
            writeln!(text, "persistence true\npersistence_location {}/", self.file("data").display())?;
        }
        match options.persistence {
            Persistence::Off => {}
            Persistence::Default => writeln!(text, "autosave_interval 1800")?,
            Persistence::EveryChange => writeln!(text, "autosave_interval 1\nautosave_on_changes true")?,
        }
        text.push_str(&options.more);
        writeln!(text, "\nlistener {} 127.0.0.1", self.port)?;
        if let (Some(port), Some(certificates)) = (self.tls_port, &self.certificates) {
            writeln!(text, "listener {port} 127.0.0.1")?;
            writeln!(text, "cafile {}", certificates.ca().display())?;
            writeln!(text, "certfile {}", certificates.server().display())?;
            writeln!(text, "keyfile {}", certificates.server_key().display())?;
            writeln!(text, "require_certificate {}", options.client_certificates)?;
            writeln!(text, "use_identity_as_username {}", options.identity)?;
        }
        if let Some(port) = self.websocket_port {
            writeln!(text, "listener {port} 127.0.0.1\nprotocol websockets")?;
        }
        Ok(text)
    }
}
