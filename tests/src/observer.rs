//! A raw reader of the engine's event stream: the baseline that histories and latencies are compared
//! with. It takes what the engine says as it says it, and opens the stream again when the engine was away.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::wall_nanos;
use crate::engine::Engine;

/// The engine's words that a history keeps.
pub const KEPT: [&str; 13] = [
    "create",
    "start",
    "restart",
    "kill",
    "die",
    "oom",
    "stop",
    "pause",
    "unpause",
    "rename",
    "update",
    "health_status",
    "destroy",
];

/// A container event as the engine said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// The engine's time in nanoseconds since 1970 UTC.
    pub time_nano: i64,
    /// Docker's words; a health status has its value behind a colon.
    pub action: String,
    /// The container's full id.
    pub id: String,
    /// The container's name at that time.
    pub name: String,
    /// When this reader had it, in nanoseconds since 1970 UTC.
    pub at: i64,
}

impl EngineEvent {
    /// The action without the value that a health status carries.
    pub fn kind(&self) -> &str {
        self.action.split(':').next().unwrap_or_default()
    }
}

/// Records every container event of the kept kinds, from its start on, until it is dropped.
#[derive(Debug)]
pub struct Observer {
    events: watch::Receiver<Vec<EngineEvent>>,
    _reading: JoinSet<()>,
}

impl Observer {
    /// Begins with what the engine says from this moment on.
    pub fn start(engine: &Engine) -> Self {
        let (sender, events) = watch::channel(Vec::new());
        let mut reading = JoinSet::new();
        let engine = engine.clone();
        let since = wall_nanos();
        reading.spawn(async move {
            loop {
                if let Err(error) = read(&engine, since, &sender).await {
                    tracing::debug!("the observer's stream: {error:#}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { events, _reading: reading }
    }

    /// Everything so far, in the order in which the engine said it.
    pub fn events(&self) -> Vec<EngineEvent> {
        self.events.borrow().clone()
    }

    /// What was said of one container so far.
    pub fn events_of(&self, id: &str) -> Vec<EngineEvent> {
        self.events.borrow().iter().filter(|event| event.id == id).cloned().collect()
    }

    /// Waits for an event, past or future, that `wanted` accepts, and returns the first.
    pub async fn wait_for(
        &self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&EngineEvent) -> bool,
    ) -> Result<EngineEvent> {
        let mut events = self.events.clone();
        let waiting = events.wait_for(|events| events.iter().any(&wanted));
        match tokio::time::timeout(deadline, waiting).await {
            Ok(Ok(events)) => events.iter().find(|event| wanted(event)).cloned().context("it was just there"),
            Ok(Err(_)) => bail!("the observer ended"),
            Err(_) => bail!("waited {deadline:?} for {what}; {}", summary(&self.events.borrow())),
        }
    }

    /// Waits until at least `count` events were seen.
    pub async fn wait_count(&self, count: usize, deadline: Duration) -> Result<()> {
        let mut events = self.events.clone();
        let waiting = events.wait_for(|events| events.len() >= count);
        if tokio::time::timeout(deadline, waiting).await.is_err() {
            bail!("waited {deadline:?} for {count} engine events; {}", summary(&self.events.borrow()));
        }
        Ok(())
    }
}

fn summary(events: &[EngineEvent]) -> String {
    let last: Vec<_> = events.iter().rev().take(5).map(|event| (&event.action, &event.name)).collect();
    format!("{} events seen, the last: {last:?}", events.len())
}

async fn read(engine: &Engine, since: i64, sender: &watch::Sender<Vec<EngineEvent>>) -> Result<()> {
    // Inclusive at the engine, so the newest ones come again after a reopening.
    let since = sender.borrow().last().map_or(since, |event| event.time_nano);
    let since = format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000);
    let filters = HashMap::from([("type", vec!["container"])]);
    let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
    let mut stream = engine.client()?.events(Some(options));
    while let Some(message) = stream.next().await {
        let Some(event) = kept(message.context("an event")?) else {
            continue;
        };
        sender.send_if_modified(|events| {
            let known = |old: &EngineEvent| {
                (old.time_nano, &old.action, &old.id) == (event.time_nano, &event.action, &event.id)
            };
            if events.iter().rev().take(256).any(known) {
                return false;
            }
            events.push(event);
            true
        });
    }
    bail!("the engine closed it")
}

fn kept(message: EventMessage) -> Option<EngineEvent> {
    let actor = message.actor?;
    let event = EngineEvent {
        time_nano: message.time_nano?,
        action: message.action.map(|word| if word == "remove" { "destroy".to_owned() } else { word })?,
        id: actor.id?,
        name: actor.attributes?.remove("name")?,
        at: wall_nanos(),
    };
    KEPT.contains(&event.kind()).then_some(event)
}
