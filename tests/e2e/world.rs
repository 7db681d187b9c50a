//! The programs under test, as processes that can be stopped, killed and started again on their data.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use radar_tests::process::{self, Launch, Process, Seat};
use radar_tests::programs::{built, put};

pub(crate) mod history;
pub(crate) mod radar;
pub(crate) mod scene;
pub(crate) mod site;

/// How long anything may take that takes milliseconds on an idle machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A program with its data directory and its settings.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    /// Its file, where it is not the one that was built.
    file: Option<PathBuf>,
    directory: PathBuf,
    settings: Vec<(String, String)>,
    seat: Seat,
}

impl Program {
    fn new(name: &'static str) -> Result<Self> {
        let directory = process::directory(name)?;
        let mut program = Self { name, file: None, directory, settings: Vec::new(), seat: Seat::default() };
        program.set("DATA_DIR", &program.directory.join("data").display().to_string());
        Ok(program)
    }

    /// Sets a variable for the next start.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.settings.retain(|(known, _)| known != variable);
        self.settings.push((variable.to_owned(), value.to_owned()));
    }

    /// Runs it from a copy of its own, beside its data; the file.
    pub(crate) async fn installed(&mut self) -> Result<PathBuf> {
        let file = self.directory.join("bin").join(self.name);
        std::fs::create_dir_all(self.directory.join("bin")).context("a directory for the program")?;
        put(&file, std::fs::read(built().await?.join(self.name)).context("the program")?)?;
        self.file = Some(file.clone());
        Ok(file)
    }

    /// Its process, which may have ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.seat.ask(Process::pid)
    }

    /// The value of a variable that was set.
    pub(crate) fn setting(&self, variable: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == variable).map(|(_, value)| value.as_str())
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        PathBuf::from(self.setting("DATA_DIR").unwrap_or_default())
    }

    /// Everything it has said, from its first start on.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Starts it, for the first time or again on its data.
    pub(crate) async fn start(&self) -> Result<()> {
        let program = match &self.file {
            Some(file) => file.clone(),
            None => built().await?.join(self.name),
        };
        let launch = Launch::new(program, self.log_file()).owns(&self.directory);
        let launch = self.settings.iter().fold(launch, |launch, (variable, value)| launch.env(variable, value));
        self.seat.start(&launch)
    }

    /// Ends it as `kill -9` does.
    pub(crate) async fn kill9(&self) -> Result<()> {
        self.seat.kill9(DEADLINE).await
    }

    /// Asks it to stop, as `systemctl stop` does, and waits for its end; its exit code must be 0.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.seat.terminate(Duration::from_secs(12)).await?;
        let code = self.seat.ask(Process::exited).flatten();
        anyhow::ensure!(code == Some(0), "{} ended with {code:?}:\n{}", self.name, self.log());
        Ok(())
    }

    /// Fails with its last lines when it has ended.
    pub(crate) fn check_running(&self) -> Result<()> {
        self.seat.check_running()
    }

    /// Runs it with arguments and its settings, until it ends, and returns what it printed.
    pub(crate) async fn call(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let output = self.command(arguments).await?.output();
        tokio::time::timeout(DEADLINE, output).await.context("it did not end")?.context("it did not start")
    }

    /// The program with these arguments and its settings, not started.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Result<tokio::process::Command> {
        let mut command = tokio::process::Command::new(built().await?.join(self.name));
        command.args(arguments).envs(self.settings.iter().map(|(key, value)| (key, value)));
        Ok(command)
    }

    /// What `agents --json` says.
    pub(crate) async fn agent_lines(&self) -> Result<Vec<serde_json::Value>> {
        let output = self.call(&["agents", "--json"]).await?;
        anyhow::ensure!(output.status.success(), "agents: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).context("its output is text")?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// What it says of one.
    pub(crate) async fn agent_line(&self, id: &str) -> Result<serde_json::Value> {
        let lines = self.agent_lines().await?;
        lines.into_iter().find(|line| line["id"] == id).with_context(|| format!("no {id}"))
    }

    /// Waits until what `agents --json` says of an agent is as wanted.
    pub(crate) async fn wait_agent(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<serde_json::Value> {
        radar_tests::wait::until(what, DEADLINE, async || {
            let line = self.agent_line(id).await?;
            if wanted(&line) { Ok(line) } else { Err(anyhow::anyhow!("{line}")) }
        })
        .await
    }

    /// What it answers to a GET; the status and the body.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String)> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listen = self.setting("BRIDGE_LISTEN").context("it does not listen")?;
        let mut connection = tokio::net::TcpStream::connect(listen).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: bridge\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer of HTTP")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")?;
        Ok((status, body.to_owned()))
    }

    /// Waits until its log has this text.
    pub(crate) async fn wait_log(&self, text: &str) -> Result<()> {
        let what = format!("`{text}` in the log of {}", self.name);
        radar_tests::wait::until(&what, DEADLINE, async || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(tail(&log)) }
        })
        .await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = tail(&self.log());
            // The test's own output is where one looks when it fails.
            drop(std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("--- {}\n{text}\n", self.directory.display()).as_bytes(),
            ));
        }
        // With its process its directory goes; of one that was called only, nobody owned it.
        if self.pid().is_none() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// An agent that watches this engine and speaks to the broker behind this URL.
pub(crate) fn agent(id: &str, engine: &str, broker: &str) -> Result<Program> {
    let mut agent = Program::new("radar-agent")?;
    agent.set("AGENT_ID", id);
    agent.set("DOCKER_HOST", engine);
    agent.set("MQTT_URL", broker);
    agent.set("AGENT_SNAPSHOT_INTERVAL", "1s");
    agent.set("MQTT_KEEP_ALIVE", "5s");
    Ok(agent)
}

/// A bridge at this broker, which answers on a free port of its own.
pub(crate) fn bridge(broker: &str) -> Result<Program> {
    let mut bridge = Program::new("radar-bridge")?;
    bridge.set("MQTT_URL", broker);
    bridge.set("BRIDGE_LISTEN", &format!("127.0.0.1:{}", radar_tests::port::free()?));
    bridge.set("BRIDGE_API_LISTEN", "off");
    Ok(bridge)
}

/// A bridge whose HTTP API answers on a free port of its own.
pub(crate) fn asked_bridge(broker: &str) -> Result<Program> {
    let mut bridge = bridge(broker)?;
    bridge.set("BRIDGE_API_LISTEN", &format!("127.0.0.1:{}", radar_tests::port::free()?));
    Ok(bridge)
}

/// A bridge that relays to this server.
pub(crate) fn relaying_bridge(broker: &str, server: &str) -> Result<Program> {
    let mut bridge = bridge(broker)?;
    bridge.set("SERVER_URL", server);
    Ok(bridge)
}
