use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use radar_tests::programs::by_hand;
use radar_tests::wait::until;
use tempfile::NamedTempFile;
use tokio::process::Child;

/// The running script, in a process group of its own as in a terminal; killed when it is dropped.
pub(crate) struct Script {
    child: Child,
    pid: u32,
    log: NamedTempFile,
}

impl Script {
    /// Starts it with the debug build of this test run.
    pub(crate) fn start(data: &Path, more: &[(&str, &str)]) -> Result<Self> {
        let log = NamedTempFile::new().context("a file for its output")?;
        let own = std::env::current_exe().context("the test's own path")?;
        let target = own.ancestors().nth(3).context("the target directory")?;
        let output = || -> Result<File> { Ok(log.as_file().try_clone()?) };
        let child = by_hand(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/quickstart"))
            .args(["--debug", "--data"])
            .arg(data)
            .env("CARGO_TARGET_DIR", target)
            // What a user may have set for programs of another installation.
            .envs([("MQTT_URL", "mqtts://elsewhere"), ("MQTT_CA_FILE", "/none"), ("DATA_DIR", "/none")])
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("deploy/quickstart")?;
        let pid = child.id().context("it has only just begun")?;
        Ok(Self { child, pid, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything it has printed.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// Waits for its last line, `pi-kitchen online, 7 containers`, and returns the agent's id.
    pub(crate) async fn wait_online(&mut self, deadline: Duration) -> Result<String> {
        let log = self.log.path().to_path_buf();
        let child = &mut self.child;
        let found = until("the agent to be online", deadline, async || {
            let output = fs::read_to_string(&log).unwrap_or_default();
            let line = output.lines().find(|line| line.contains(" online, ") && !line.contains(" | "));
            if let Some(line) = line {
                let (agent, containers) = line.split_once(" online, ").unwrap_or_default();
                let count = containers.split_once(" container").and_then(|(count, _)| count.parse::<u32>().ok());
                return Ok(count.map(|_| agent.to_owned()).with_context(|| format!("`{line}`")));
            }
            match child.try_wait() {
                Ok(Some(status)) => Ok(Err(anyhow::anyhow!("it ended with {status}:\n{output}"))),
                _ => Err(output),
            }
        });
        found.await?
    }

    /// What stands behind a word at the beginning of a line.
    pub(crate) fn value(&self, word: &str) -> Option<String> {
        let output = self.output();
        let value = output.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(word)?.strip_prefix(' '));
        value.map(|value| value.trim().to_owned())
    }

    /// What Ctrl-C does: SIGINT to its process group.
    pub(crate) fn interrupt(&self) -> Result<()> {
        signal("INT", &format!("-{}", self.pid))
    }

    /// SIGTERM to the script alone.
    pub(crate) fn terminate(&self) -> Result<()> {
        signal("TERM", &self.pid.to_string())
    }

    /// SIGKILL to the script alone.
    pub(crate) async fn kill9(&mut self) -> Result<()> {
        self.child.kill().await.context("killing it")
    }

    /// Its exit code, once it has ended.
    pub(crate) async fn wait_exit(&mut self, deadline: Duration) -> Result<Option<i32>> {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(status) => Ok(status.context("waiting for it")?.code()),
            Err(_) => bail!("it still ran after {deadline:?}:\n{}", self.output()),
        }
    }
}

fn signal(name: &str, target: &str) -> Result<()> {
    let killed = std::process::Command::new("kill").args(["-s", name, "--", target]).status();
    ensure!(killed.context("kill")?.success(), "the script is gone");
    Ok(())
}
