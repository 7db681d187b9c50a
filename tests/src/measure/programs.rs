//! The built programs, and how they are started: each with data of its own, and never outliving this one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, Launch, Process, Seat};

/// Settings that the caller's own environment may hold and that must not reach the programs.
const FOREIGN: [&str; 21] = [
    "MQTT_USERNAME",
    "MQTT_PASSWORD",
    "MQTT_CA_FILE",
    "MQTT_CERT_FILE",
    "MQTT_KEY_FILE",
    "MQTT_TOPIC_PREFIX",
    "LOG_FORMAT",
    "AGENT_ID",
    "AGENT_NAME",
    "AGENT_ENROLL_TOKEN",
    "AGENT_COMMAND_KEY",
    "AGENT_ALLOW",
    "AGENT_REGISTRY_CONFIG",
    "AGENT_STATS_INTERVAL",
    "AGENT_RELEASE_KEY",
    "REFRESH_SECRET",
    "SERVER_URL",
    "SERVER_USERNAME",
    "SERVER_PASSWORD",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
];

/// Where the built programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    agent: PathBuf,
    bridge: PathBuf,
}

impl Programs {
    /// Finds them beside this program.
    pub fn find() -> Result<Self> {
        let own = std::env::current_exe().context("the path of this program")?;
        let directory = own.parent().context("the directory of this program")?;
        let find = |name: &str| {
            let path = directory.join(name);
            if !path.is_file() {
                let release = if cfg!(debug_assertions) { "" } else { " --release" };
                bail!(
                    "there is no {name} in {}: run `cargo build{release} -p radar-agent -p radar-bridge` first",
                    directory.display()
                );
            }
            Ok(path)
        };
        Ok(Self { agent: find("radar-agent")?, bridge: find("radar-bridge")? })
    }

    /// The file of the agent.
    pub(super) fn agent_file(&self) -> &Path {
        &self.agent
    }

    /// Starts an agent with these settings and an empty data directory.
    pub(super) fn agent(&self, settings: &[(&str, String)]) -> Result<Process> {
        let program = Program::new(self.agent.clone(), settings, None)?;
        Process::start(&program.launch)
    }

    /// A bridge with these settings and an empty data directory, not started yet.
    pub(super) fn bridge(&self, settings: &[(&str, String)]) -> Result<Bridge> {
        let settings = [settings, &[("BRIDGE_API_LISTEN", "off".to_owned())]].concat();
        let program = Program::new(self.bridge.clone(), &settings, Some("run"))?;
        Ok(Bridge { program, seat: Seat::default() })
    }
}

/// How a program is started on its data.
#[derive(Debug)]
struct Program {
    file: PathBuf,
    variables: BTreeMap<String, String>,
    launch: Launch,
}

impl Program {
    fn new(file: PathBuf, settings: &[(&str, String)], command: Option<&str>) -> Result<Self> {
        let directory = process::directory("measure")?;
        let data = directory.join("data");
        fs::create_dir(&data).context("a data directory")?;
        let mut variables: BTreeMap<String, String> =
            FOREIGN.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        variables.insert("DATA_DIR".to_owned(), data.display().to_string());
        variables.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let launch = Launch::new(&file, directory.join("log")).args(command).owns(&directory);
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        Ok(Self { file, variables, launch })
    }
}

/// A bridge that can be started again on its data.
#[derive(Debug)]
pub(super) struct Bridge {
    program: Program,
    seat: Seat,
}

impl Bridge {
    pub(super) fn start(&self) -> Result<()> {
        self.seat.start(&self.program.launch)
    }

    pub(super) async fn terminate(&self) -> Result<()> {
        self.seat.terminate(Duration::from_secs(30)).await
    }

    pub(super) fn check_running(&self) -> Result<()> {
        self.seat.check_running()
    }

    /// The last lines of its log.
    pub(super) fn tail(&self) -> String {
        self.seat.ask(Process::tail).unwrap_or_default()
    }

    pub(super) fn pid(&self) -> Result<u32> {
        self.seat.ask(Process::pid).context("the bridge was never started")
    }

    /// Its data directory.
    pub(super) fn data(&self) -> PathBuf {
        PathBuf::from(self.program.variables.get("DATA_DIR").map(String::as_str).unwrap_or_default())
    }

    /// The public part of its key for commands.
    pub(super) async fn key(&self) -> Result<String> {
        self.say(&["key"]).await.map(|key| key.trim().to_owned())
    }

    /// What its command line says of the history of an agent, one JSON object a line.
    pub(super) async fn events(&self, agent: &str) -> Result<String> {
        self.say(&["events", agent, "--json"]).await
    }

    /// What its command line says of all agents, one JSON object a line.
    pub(super) async fn agents(&self) -> Result<String> {
        self.say(&["agents", "--json"]).await
    }

    async fn say(&self, arguments: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::new(&self.program.file);
        command.args(arguments).envs(&self.program.variables).kill_on_drop(true);
        let output = command.output().await.context("radar-bridge")?;
        if !output.status.success() {
            bail!("radar-bridge {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        String::from_utf8(output.stdout).context("the output of radar-bridge")
    }
}
