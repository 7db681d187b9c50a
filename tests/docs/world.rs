//! An agent and a bridge as functions of this process.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use radar_link::tasks::Owned;
use tempfile::TempDir;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Runs beside the test, and ends with it.
pub(crate) struct Beside {
    running: Owned<Result<()>>,
    _data: TempDir,
}

impl Beside {
    fn spawn(data: TempDir, program: impl Future<Output = Result<()>> + Send + 'static) -> Self {
        Self { running: Owned::spawn(program), _data: data }
    }

    /// Why it ended, which it does not when all is well.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        self.running.value().await
    }
}

/// An agent that watches this engine.
pub(crate) fn agent(id: &str, engine: &str, broker: &str) -> Result<Beside> {
    let data = tempfile::tempdir_in("/tmp").context("the agent's data directory")?;
    let env = variables(&data, broker, &[("AGENT_ID", id), ("DOCKER_HOST", engine)]);
    let settings = radar_agent::Settings::load(None, env)?;
    Ok(Beside::spawn(data, async { Ok(radar_agent::run(settings, pending()).await?) }))
}

/// A bridge that relays to this server, and where it listens.
pub(crate) async fn bridge(broker: &str, server: &str, more: &[(&str, &str)]) -> Result<(Beside, SocketAddr)> {
    let data = tempfile::tempdir_in("/tmp").context("the bridge's data directory")?;
    let env = variables(&data, broker, &[&[("SERVER_URL", server)], more].concat());
    let settings = radar_bridge::Settings::load(None, env)?;
    let listener = radar_bridge::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr().context("the address of the bridge")?;
    Ok((Beside::spawn(data, radar_bridge::serve(settings, listener, pending())), address))
}

fn variables(data: &TempDir, broker: &str, more: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    radar_link::mqtt::tls::install_provider();
    let own = data.path().display().to_string();
    let all = [("DATA_DIR", own.as_str()), ("MQTT_URL", broker)].into_iter().chain(more.iter().copied());
    let all: BTreeMap<String, String> = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    move |name| all.get(name).cloned()
}
