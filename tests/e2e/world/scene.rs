//! Containers of one test, and what the engine said of them.

use anyhow::{Context, Result};
use radar_tests::engine::{Container, Engine};
use radar_tests::observer::{EngineEvent, Observer};
use radar_tests::wait::until;

use super::DEADLINE;

/// Some running containers on an engine, observed from their start on.
pub(crate) struct Scene {
    engine: Engine,
    pub(crate) containers: Vec<Container>,
    observer: Observer,
}

impl Scene {
    /// Runs containers and begins to observe.
    pub(crate) async fn set(engine: &Engine, purpose: &str, containers: usize) -> Result<Self> {
        let containers = engine.run_many(purpose, containers).await?;
        Ok(Self { engine: engine.clone(), containers, observer: Observer::start(engine) })
    }

    /// What the engine has said of these containers.
    pub(crate) fn seen(&self) -> Vec<EngineEvent> {
        let ours = |id: &str| self.containers.iter().any(|container| container.id == id);
        self.observer.events().into_iter().filter(|event| ours(&event.id)).collect()
    }

    /// The names that the engine has for them now.
    pub(crate) async fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for container in &self.containers {
            let name = self.engine.inspect(&container.id).await?.name.context("a container's name")?;
            names.push(name.trim_start_matches('/').to_owned());
        }
        Ok(names)
    }

    /// Waits until the engine has said this much of them.
    pub(crate) async fn wait_seen(&self, count: usize) -> Result<()> {
        let what = format!("{count} events of the engine");
        until(&what, 2 * DEADLINE, async || {
            let seen = self.seen().len();
            if seen >= count { Ok(()) } else { Err(format!("{seen} events")) }
        })
        .await
    }

    /// Makes this many events more, and waits until the observer has them.
    pub(crate) async fn burst(&self, count: usize) -> Result<()> {
        let before = self.seen().len();
        self.engine.burst(&self.containers, count).await?;
        self.wait_seen(before + count).await
    }
}
