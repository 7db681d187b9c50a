//! A bridge that relays one agent, and the server's view of it, against what the engine says.

use anyhow::{Result, ensure};
use radar_tests::broker::Broker;
use radar_tests::engine::Engine;
use radar_tests::server::Server;
use radar_tests::wait::until;
use serde_json::json;

use super::history::{gaps, wait_complete};
use super::scene::Scene;
use super::{DEADLINE, Program};

/// The agent `pi`, a bridge, and a server at which the bridge makes an account for it.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) bridge: Program,
    pub(crate) agent: Program,
}

impl Site {
    /// Both programs at one broker, started; the bridge has heard of the agent.
    pub(crate) async fn open(engine: &Engine, broker: &Broker) -> Result<Self> {
        let site = Self::new(engine, &broker.url(), &broker.url()).await?;
        site.start().await?;
        Ok(site)
    }

    /// Both programs, each with its own way to the broker, not started.
    pub(crate) async fn new(engine: &Engine, agent_broker: &str, bridge_broker: &str) -> Result<Self> {
        let server = Server::start().await?;
        let mut bridge = super::relaying_bridge(bridge_broker, &server.url())?;
        bridge.set("SERVER_USERNAME", "admin");
        bridge.set("SERVER_PASSWORD", "secret");
        let agent = super::agent("pi", &engine.host(), agent_broker)?;
        Ok(Self { server, bridge, agent })
    }

    /// Starts both, and waits until the bridge has heard of the agent and of its engine: what an engine did before it was
    /// reached for the first time is no news.
    pub(crate) async fn start(&self) -> Result<()> {
        self.bridge.start().await?;
        self.agent.start().await?;
        self.bridge.wait_agent("pi", "its engine", |line| line["engine"]["answers"] == true).await.map(drop)
    }

    /// Waits until the history has every event of these containers, once, in order and without a gap, and the server
    /// shows them as the engine has them.
    pub(crate) async fn wait_whole(&self, scene: &Scene) -> Result<()> {
        let history = wait_complete(&self.bridge, "pi", &scene.seen()).await?;
        ensure!(gaps(&history).is_empty(), "gaps: {:?}", gaps(&history));
        self.wait_server(scene).await
    }

    /// Waits until the server shows the agent online and these containers as the engine has them, and looks at what it
    /// was told on the way.
    pub(crate) async fn wait_server(&self, scene: &Scene) -> Result<()> {
        let wanted = scene.names().await?;
        until("the server's view as the engine's", DEADLINE, async || {
            let agents = self.server.agents();
            let shown = agents.iter().filter(|view| view.status == "online").flat_map(|view| &view.running);
            let names: Vec<&str> = shown.map(|container| &*container.name).collect();
            let missing: Vec<_> = wanted.iter().filter(|name| !names.contains(&name.as_str())).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("without {missing:?}: {agents:?}")) }
        })
        .await?;
        self.check_server()
    }

    /// The server was asked one thing at a time, was never told of a host without containers once it had some, and its
    /// database is whole.
    pub(crate) fn check_server(&self) -> Result<()> {
        let server = &self.server;
        ensure!((server.wedged(), server.killed()) == (None, None), "{:?} {:?}", server.wedged(), server.killed());
        ensure!(server.high_water() <= 1, "{} requests at once", server.high_water());
        let agents = server.agents();
        ensure!(agents.len() <= 1, "one agent became {agents:?}");
        for view in &agents {
            let empty = json!([]);
            let lists = server.beats(&view.id).into_iter().map(|beat| beat.body["containers"] == empty);
            ensure!(!lists.skip_while(|empty| *empty).any(|empty| empty), "an empty list");
        }
        Ok(())
    }
}
