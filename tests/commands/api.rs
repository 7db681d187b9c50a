//! The bridge's HTTP API, with a plain HTTP client on one side and a played agent on the other.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_bridge::api_keys::{ApiKeys, Scope};
use radar_link::files::write_atomic;
use radar_link::mqtt::tls::install_provider;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

use crate::{DEADLINE, Stage};
use played::Played;

mod acts;
mod logs;
mod looks;
mod played;

/// A stage with a key of each scope, and the agent `pi`.
struct Scene {
    stage: Stage,
    pi: Played,
    client: Client,
    keys: ApiKeys,
    admin: String,
}

impl Scene {
    async fn set() -> Result<Self> {
        install_provider();
        Self::on(Stage::set().await?).await
    }

    async fn on(stage: Stage) -> Result<Self> {
        let pi = Played::connect(&stage, "pi").await?;
        let client = Client::builder().no_proxy().build()?;
        let mut scene = Self { stage, pi, client, keys: ApiKeys::default(), admin: String::new() };
        scene.admin = scene.create("Ann", Scope::Admin)?;
        Ok(scene)
    }

    fn create(&mut self, name: &str, scope: Scope) -> Result<String> {
        let number = u32::try_from(self.keys.keys.len())?;
        let key = self.keys.create(name, scope, (number, [u8::try_from(number)?; 32]), 0)?;
        self.write_keys(&self.keys.to_json())?;
        Ok(key.expose().to_owned())
    }

    fn write_keys(&self, text: &str) -> Result<()> {
        Ok(write_atomic(&self.stage.room.path().join("api-keys.json"), text.as_bytes(), 0o600)?)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.stage.api)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path)).bearer_auth(&self.admin)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path)).bearer_auth(&self.admin)
    }

    async fn json(&self, path: &str) -> Result<Value> {
        let answer = self.get(path).send().await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.text().await?);
        Ok(answer.json().await?)
    }
}

/// The events of an answer.
struct Events {
    answer: Response,
    text: String,
}

impl Events {
    async fn open(request: RequestBuilder) -> Result<Self> {
        let answer = request.header("accept", "text/event-stream").send().await?;
        ensure!(answer.status() == 200, "{}", answer.text().await?);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Ok(Self { answer, text: String::new() })
    }

    /// The next event and its data; none at the end of the answer.
    async fn next(&mut self) -> Result<Option<(String, Value)>> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                let line = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
                let Some(event) = line("event: ") else { continue };
                let data = serde_json::from_str(line("data: ").context("data")?)?;
                return Ok(Some((event.to_owned(), data)));
            }
            let chunk = tokio::time::timeout(DEADLINE, self.answer.chunk()).await;
            match chunk.with_context(|| format!("nothing comes after `{}`", self.text))?? {
                Some(chunk) => self.text.push_str(std::str::from_utf8(&chunk)?),
                None => return Ok(None),
            }
        }
    }

    /// The next event, which is this one; its data.
    async fn expect(&mut self, event: &str) -> Result<Value> {
        let (name, data) = self.next().await?.with_context(|| format!("the stream has ended before `{event}`"))?;
        ensure!(name == event, "{name} instead of {event}: {data}");
        Ok(data)
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(DEADLINE, future).await.with_context(|| format!("{what} did not come in {DEADLINE:?}"))?
}

/// A short time in which something is not to happen.
const SHORT: Duration = Duration::from_millis(300);
