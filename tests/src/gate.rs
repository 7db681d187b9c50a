//! The real HAProxy with `deploy/socket-proxy/haproxy.cfg` before an engine's socket, and what was asked of it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::UnixStream;

use crate::engine::Engine;
use crate::process::{self, Launch, Process, Seat};
use crate::wait::until;

const CONFIGURATION: &str = include_str!("../../deploy/socket-proxy/haproxy.cfg");
const DEADLINE: Duration = Duration::from_secs(20);

/// A question that the gate has let through, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The status of the answer.
    pub status: u16,
    /// `GET`, …
    pub method: String,
    /// With what is behind the question mark.
    pub path: String,
}

/// A gate; it is gone when it is dropped.
#[derive(Debug)]
pub struct Gate {
    directory: PathBuf,
    engine: PathBuf,
    process: Seat,
}

impl Gate {
    /// Starts one with these variables set, and its configuration changed where a test wants it.
    pub async fn start(
        engine: &Engine,
        variables: &[(&str, &str)],
        change: impl FnOnce(String) -> String,
    ) -> Result<Self> {
        let gate = Self { directory: process::directory("gate")?, engine: engine.socket(), process: Seat::default() };
        gate.open(variables, change).await?;
        Ok(gate)
    }

    /// Ends it and starts it again with these.
    pub async fn restart(&self, variables: &[(&str, &str)]) -> Result<()> {
        self.process.kill9(DEADLINE).await?;
        self.open(variables, |configuration| configuration).await
    }

    async fn open(&self, variables: &[(&str, &str)], change: impl FnOnce(String) -> String) -> Result<()> {
        let file = self.directory.join("haproxy.cfg");
        fs::write(&file, change(CONFIGURATION.to_owned())).context("the gate's configuration")?;
        let launch = Launch::new("haproxy", self.directory.join("log"))
            .args(["-f".into(), file])
            .env("PATH", process::SYSTEM_PATH)
            .env("GATE_SOCKET", self.socket())
            .env("ENGINE_SOCKET", &self.engine)
            .owns(&self.directory);
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        self.process.start(&launch)?;
        until("the gate to listen", DEADLINE, async || {
            if let Err(ended) = self.process.check_running() {
                return Ok(Err(ended));
            }
            UnixStream::connect(self.socket()).await.map(|_| Ok(()))
        })
        .await?
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("docker.sock")
    }

    /// `unix://` and the path, for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// What it was asked and has answered, also before it was started again; a stream is there once it has ended.
    pub fn asked(&self) -> Vec<Asked> {
        let log = self.process.ask(Process::log_text).unwrap_or_default();
        let line = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let (status, method, path) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
            path.starts_with('/').then(|| Asked { status, method: method.to_owned(), path: path.to_owned() })
        };
        log.lines().filter_map(line).collect()
    }
}
