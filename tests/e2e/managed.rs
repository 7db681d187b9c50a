//! Everything together, as a person has it: the program `radar`, the bridge and its API, the broker, agents that take
//! commands, and their engines.

use std::fs;

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::TagImageOptionsBuilder;
use radar_link::files::write_atomic;
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Spec};
use radar_tests::wait::until;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::world::radar::Radar;
use crate::world::{self, DEADLINE, Program};

mod acts;
mod gated;
mod interrupted;
mod logs;
mod podman;
mod pulls;
mod stores;
mod updates;
mod usage;
mod waves;

/// How `radar` ends.
const DONE: i32 = 0;
const FAILED: i32 = 1;
const REFUSED: i32 = 2;
const NOT_FOUND: i32 = 3;
const UNKNOWN: i32 = 4;

/// A broker, a bridge, the agent `pi` that does everything, and who asks.
struct Stage {
    engine: Engine,
    broker: Broker,
    bridge: Program,
    pi: Program,
    radar: Radar,
}

impl Stage {
    /// The one of all tests that end nothing of it. Other tests' containers are on its engine.
    async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Stage> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::set).await
    }

    /// One of its own, on the engine of these tests: what they do makes an engine forget events that others wait for.
    async fn set() -> Result<Self> {
        static ENGINE: OnceCell<Engine> = OnceCell::const_new();
        Self::on(ENGINE.get_or_try_init(Engine::start).await?.clone()).await
    }

    /// One on this engine.
    async fn on(engine: Engine) -> Result<Self> {
        let broker = Broker::open(&Options::default()).await?;
        let bridge = world::asked_bridge(&broker.url())?;
        let radar = Radar::at(&bridge).await?;
        let pi = obedient("pi", &engine, &broker, &bridge).await?;
        bridge.start().await?;
        pi.start().await?;
        let stage = Self { engine, broker, bridge, pi, radar };
        stage.online("pi").await?;
        Ok(stage)
    }

    /// One more agent, on an engine that may be another one.
    async fn agent(&self, id: &'static str, engine: &Engine) -> Result<Program> {
        let agent = obedient(id, engine, &self.broker, &self.bridge).await?;
        agent.start().await?;
        self.online(id).await?;
        Ok(agent)
    }

    async fn online(&self, id: &str) -> Result<()> {
        let ready = |line: &Value| line["state"] == "online" && line["containers"]["complete"] == true;
        self.bridge.wait_agent(id, "the agent", ready).await.map(drop)
    }

    /// A container that runs on the engine of `pi`, of which everybody has heard; its name.
    async fn container(&self, purpose: &str, spec: Spec) -> Result<String> {
        let name = self.engine.unique(purpose);
        self.engine.run(&name, spec).await?;
        self.known("pi", &name).await?;
        Ok(name)
    }

    /// Waits until `radar ps` shows a container of an agent.
    async fn known(&self, agent: &str, name: &str) -> Result<Value> {
        self.known_as(agent, name, |state| !state.is_null()).await
    }

    /// Waits until `radar ps` shows a container of an agent in such a state.
    async fn known_as(&self, agent: &str, name: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        until(&format!("{name} at the bridge"), DEADLINE, async || {
            let listed = self.radar.json(&["ps", agent, "--all"]).await?;
            let mut all = listed["containers"].as_array().into_iter().flatten();
            let found = all.find(|container| container["name"] == name && is(&container["state"]));
            found.cloned().with_context(|| listed.to_string())
        })
        .await
    }

    /// Which state the engine of `pi` says that a container is in.
    async fn state(&self, name: &str) -> Result<String> {
        let state = self.engine.inspect(name).await?.state.and_then(|state| state.status);
        Ok(state.map(|state| state.to_string()).unwrap_or_default())
    }

    /// What the audit has of commands of this kind for a container, or for what else is named; the newest last.
    async fn audit(&self, agent: &str, what: &str, named: &str) -> Result<Vec<Value>> {
        let mut audit = self.radar.json(&["audit", "--agent", agent]).await?;
        let Value::Array(mut commands) = audit["commands"].take() else { anyhow::bail!("{audit}") };
        commands.retain(|row| row["what"]["do"] == what && row["what"]["container"] == named);
        Ok(commands)
    }

    /// The last of them, once it has ended.
    async fn ended(&self, agent: &str, what: &str, named: &str) -> Result<Value> {
        until(&format!("the end of {what} {named} in the audit"), DEADLINE, async || {
            let row = self.audit(agent, what, named).await?.pop().context("no such command")?;
            ensure!(!row["ended"].is_null(), "{row}");
            Ok::<_, anyhow::Error>(row)
        })
        .await
    }

    /// Lets `pi` know who it is at a registry; nobody anywhere without.
    fn log_in(&self, config: &Value) -> Result<()> {
        let file = self.pi.setting("AGENT_REGISTRY_CONFIG").context("the setting")?;
        // Others may be pulling meanwhile.
        Ok(write_atomic(file.as_ref(), config.to_string().as_bytes(), 0o600)?)
    }
}

/// An agent that does what this bridge signs, whatever it is.
async fn obedient(id: &'static str, engine: &Engine, broker: &Broker, bridge: &Program) -> Result<Program> {
    let key = bridge.call(&["key"]).await?;
    let mut agent = world::agent(id, &engine.host(), &broker.url())?;
    agent.set("AGENT_COMMAND_KEY", String::from_utf8(key.stdout).context("a key is text")?.trim());
    agent.set("AGENT_ALLOW", "all");
    let registries = agent.data().with_file_name("registries.json");
    fs::write(&registries, "{}").context("the credentials for registries")?;
    agent.set("AGENT_REGISTRY_CONFIG", &registries.display().to_string());
    Ok(agent)
}

/// Lets a name mean another image of an engine.
async fn tag(engine: &Engine, image: &str, name: &str) -> Result<()> {
    let (repository, tag) = name.rsplit_once(':').context("a tag")?;
    let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
    Ok(engine.client()?.tag_image(image, Some(options)).await?)
}
