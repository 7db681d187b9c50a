//! Real HTTP proxies (Debian's `tinyproxy` and `squid`) on loopback, on the way out of a network: open or with an
//! account, for all ports or for some. They go on from an address of their own, so that the other end tells whether it
//! was reached through them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::port;
use crate::process::{self, Launch, Process, Seat};

/// Where all connections of a proxy come from.
pub const FROM: &str = "127.0.0.3";
/// Who may use a proxy that asks.
pub const USER: &str = "edge";
/// The password, of the few characters that tinyproxy takes.
pub const PASSWORD: &str = "p-s.s_word";
/// Both as they may stand in an address.
pub const ACCOUNT: &str = "edge:p%2Ds.s_word";
/// A name for 127.0.0.1 that only squid knows.
pub const NAME: &str = "broker.behind-the-proxy.test";

const DEADLINE: Duration = Duration::from_secs(20);

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Small and strict.
    Tinyproxy,
    /// What companies have.
    Squid,
}

/// A running proxy; everything of it is gone when it is dropped.
#[derive(Debug)]
pub struct Forward {
    kind: Kind,
    directory: PathBuf,
    port: u16,
    process: Seat,
}

impl Forward {
    /// Starts one: with an account or without, and for these ports only, or for all when there are none.
    pub async fn open(kind: Kind, asks: bool, ports: &[u16]) -> Result<Self> {
        let directory = process::directory("forward")?;
        let forward = Self { kind, directory, port: port::free()?, process: Seat::default() };
        let text = match kind {
            Kind::Tinyproxy => forward.tinyproxy(asks, ports),
            Kind::Squid => forward.squid(asks, ports)?,
        };
        fs::write(forward.file("conf"), text).context("the proxy's configuration")?;
        forward.start().await?;
        Ok(forward)
    }

    /// For `MQTT_PROXY`, without an account.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same with the right account.
    pub fn url_with_account(&self) -> String {
        format!("http://{ACCOUNT}@127.0.0.1:{}", self.port)
    }

    /// What it has written of the requests that it was asked.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("requests")).unwrap_or_default()
    }

    /// Starts it (again) on the same port, and waits until it listens.
    pub async fn start(&self) -> Result<()> {
        let (program, arguments) = match self.kind {
            Kind::Tinyproxy => ("tinyproxy", &["-d", "-c"][..]),
            Kind::Squid => ("squid", &["-N", "-f"][..]),
        };
        let launch = Launch::new(program, self.file("log"))
            .args(arguments.iter().copied())
            .args([self.file("conf")])
            .env("PATH", process::SYSTEM_PATH)
            .owns(&self.directory);
        self.process.start(&launch)?;
        self.process.listens("the proxy", self.port, DEADLINE).await
    }

    /// SIGKILL, and waits for the end: every connection through it is cut.
    pub async fn kill9(&self) -> Result<()> {
        self.process.kill9(DEADLINE).await
    }

    /// The last lines of what it said.
    pub fn tail(&self) -> String {
        self.process.ask(Process::tail).unwrap_or_default()
    }

    fn tinyproxy(&self, asks: bool, ports: &[u16]) -> String {
        let account = if asks { format!("BasicAuth {USER} {PASSWORD}\n") } else { String::new() };
        let ports: String = ports.iter().map(|port| format!("ConnectPort {port}\n")).collect();
        let (port, log) = (self.port, self.file("requests"));
        format!(
            "Port {port}\nListen 127.0.0.1\nBind {FROM}\nTimeout 600\nLogLevel Info\nLogFile \"{}\"\nMaxClients 100\n{account}{ports}",
            log.display()
        )
    }

    fn squid(&self, asks: bool, ports: &[u16]) -> Result<String> {
        let file = |name: &str| self.file(name).display().to_string();
        fs::write(self.file("hosts"), format!("127.0.0.1 localhost {NAME}\n")).context("its names")?;
        if process::is_root() {
            // Started by root it becomes the user of this name.
            let given = Command::new("chown").arg("proxy").arg(&self.directory).status().context("chown")?;
            ensure!(given.success(), "there is no user `proxy`, which Debian has");
        }
        let mut text = format!(
            "http_port 127.0.0.1:{}\npid_filename none\ncache deny all\ncache_log {}\naccess_log stdio:{}\n\
             coredump_dir {}\nhosts_file {}\ndns_nameservers 127.0.0.1\ntcp_outgoing_address {FROM}\n\
             shutdown_lifetime 0 seconds\npinger_enable off\nvisible_hostname test\nnetdb_filename none\n",
            self.port,
            file("cache"),
            file("requests"),
            self.directory.display(),
            file("hosts"),
        );
        if !ports.is_empty() {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            text.push_str(&format!("acl ports port {}\nhttp_access deny !ports\n", ports.join(" ")));
        }
        if asks {
            let hashed = Command::new("openssl").args(["passwd", "-apr1", PASSWORD]).output().context("openssl")?;
            let hashed = String::from_utf8(hashed.stdout).context("a hash is text")?;
            fs::write(self.file("users"), format!("{USER}:{hashed}")).context("its accounts")?;
            text.push_str(&format!(
                "auth_param basic program /usr/lib/squid/basic_ncsa_auth {}\nauth_param basic children 1\n\
                 acl known proxy_auth REQUIRED\nhttp_access allow known\n",
                file("users")
            ));
        } else {
            text.push_str("http_access allow all\n");
        }
        text.push_str("http_access deny all\n");
        Ok(text)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
