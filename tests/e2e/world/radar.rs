//! The program `radar` as a person has it, with the address of a bridge and a key; and the same API without it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_link::mqtt::tls::install_provider;
use radar_tests::programs::built;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{DEADLINE, Program};

/// Somebody who may do everything.
#[derive(Debug)]
pub(crate) struct Radar {
    url: String,
    key: String,
}

/// What the program has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Radar {
    /// Makes a key at a bridge, which may run or not.
    pub(crate) async fn at(bridge: &Program) -> Result<Self> {
        let made = bridge.call(&["api-key", "create", "--name", "Ann", "--scope", "admin"]).await?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = String::from_utf8(made.stdout).context("a key is text")?.trim().to_owned();
        let listen = bridge.setting("BRIDGE_API_LISTEN").context("the bridge has no API")?;
        Ok(Self { url: format!("http://{listen}"), key })
    }

    async fn command(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(built().await?.join("radar"));
        command.args(words).env("RADAR_URL", &self.url).env("RADAR_KEY", &self.key);
        command.env_remove("RADAR_KEY_FILE").env_remove("RADAR_AS").stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    /// Runs it until it ends.
    pub(crate) async fn say(&self, words: &[&str]) -> Result<Said> {
        let output = tokio::time::timeout(DEADLINE, self.command(words).await?.output()).await;
        let output = output.with_context(|| format!("radar {words:?} did not end"))?.context("it did not start")?;
        let text = |bytes| String::from_utf8(bytes).context("what it says is text");
        Ok(Said { code: code(output.status)?, out: text(output.stdout)?, err: text(output.stderr)? })
    }

    /// Runs it until it ends well; what it printed.
    pub(crate) async fn done(&self, words: &[&str]) -> Result<String> {
        let said = self.say(words).await?;
        ensure!(said.code == 0, "radar {words:?}: {said:?}");
        Ok(said.out)
    }

    /// Runs it with `--json` until it ends well; the document, which is the last where it tells how far it is.
    pub(crate) async fn json(&self, words: &[&str]) -> Result<Value> {
        let text = self.done(&[words, &["--json"]].concat()).await?;
        let last = text.lines().last().context("it says nothing")?;
        serde_json::from_str(last).with_context(|| text.clone())
    }

    /// Starts it, and returns while it runs.
    pub(crate) async fn begin(&self, words: &[&str]) -> Result<Begun> {
        let room = tempfile::tempdir().context("a directory for what it says")?;
        let file = |name: &str| File::create(room.path().join(name)).context("a file for what it says");
        let mut command = self.command(words).await?;
        let child = command.stdout(file("out")?).stderr(file("err")?).spawn().context("it did not start")?;
        Ok(Begun { child, room })
    }

    /// Asks the API itself; the status and the answer, null where there is none.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let answer = client()?.post(self.path(path)).bearer_auth(&self.key).json(body).send().await?;
        told(answer).await
    }

    /// The same with DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Result<(u16, Value)> {
        told(client()?.delete(self.path(path)).bearer_auth(&self.key).send().await?).await
    }

    /// Downloads what the API has at a path, which must be whole.
    pub(crate) async fn download(&self, path: &str) -> Result<Vec<u8>> {
        let answer = client()?.get(self.path(path)).bearer_auth(&self.key).send().await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        let whole = tokio::time::timeout(DEADLINE, answer.bytes()).await.context("it did not come to its end")?;
        Ok(whole.context("it broke off")?.to_vec())
    }

    fn path(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.url)
    }
}

fn client() -> Result<reqwest::Client> {
    install_provider();
    reqwest::Client::builder().no_proxy().build().context("a client")
}

async fn told(answer: reqwest::Response) -> Result<(u16, Value)> {
    let (status, text) = (answer.status().as_u16(), answer.text().await?);
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).with_context(|| text.clone())? };
    Ok((status, body))
}

/// The program while it runs; it ends with this.
#[derive(Debug)]
pub(crate) struct Begun {
    child: Child,
    room: TempDir,
}

impl Begun {
    /// What it has printed until now.
    pub(crate) fn out(&self) -> String {
        self.text("out")
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.file(name)).unwrap_or_default()).into_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    /// Waits until what it has printed is as wanted.
    pub(crate) async fn wait_out(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        radar_tests::wait::until(what, DEADLINE, async || {
            let out = self.out();
            if wanted(&out) { Ok(out) } else { Err(format!("{out}\n{}", self.text("err"))) }
        })
        .await
    }

    /// Ends it as `kill -9` does, so that it says goodbye to nobody.
    pub(crate) async fn kill9(mut self) -> Result<()> {
        self.child.kill().await.context("it has ended")
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self, deadline: Duration) -> Result<Said> {
        let status = tokio::time::timeout(deadline, self.child.wait()).await;
        let said = || format!("it did not end; it said {}\n{}", self.text("out"), self.text("err"));
        let code = code(status.with_context(said)??)?;
        Ok(Said { code, out: self.out(), err: self.text("err") })
    }
}

fn code(status: ExitStatus) -> Result<i32> {
    status.code().with_context(|| format!("it ended by a signal: {status}"))
}
