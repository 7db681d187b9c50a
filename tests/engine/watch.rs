//! The engine's room and the inventory, put together as the agent's event loop does it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use bollard::exec::StartExecOptions;
use bollard::models::ExecConfig;
use radar_agent::agent::inventory::{Change, Effect, Inventory, Restored};
use radar_agent::engine::notice::Notice;
use radar_agent::engine::{Address, Engine, Environment, Settings};
use radar_agent::registries::Registries;
use radar_link::time::Clock;
use radar_tests::engine::Engine as TestEngine;
use radar_wire::container::{ContainerId, Record};
use radar_wire::event::Action;

/// Longer than any step takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// An agent without a broker.
pub(crate) struct Watch {
    engine: Engine,
    pub(crate) inventory: Inventory,
    clock: Clock,
    /// Everything that was told.
    pub(crate) changes: Vec<Change>,
    /// Where gaps were told: the number of changes before each.
    pub(crate) gaps: Vec<usize>,
    /// Why the engine was away.
    pub(crate) reasons: Vec<String>,
    /// The records as the changes make them, beginning with those of the first complete list.
    folded: Option<BTreeMap<ContainerId, Record>>,
}

impl Watch {
    /// Looks at the engine of this `DOCKER_HOST`, with times that suit a test.
    pub(crate) fn start(host: &str, restored: Restored) -> Result<Self> {
        Self::start_at(Environment { host: Some(host.to_owned()), ..Environment::default() }, restored)
    }

    /// Looks at the engine that the environment names.
    pub(crate) fn start_at(environment: Environment, restored: Restored) -> Result<Self> {
        let settings = Settings {
            address: Address::parse(environment)?,
            labels: vec!["team".to_owned()],
            time_out: Duration::from_secs(3),
            registries: Registries::default(),
            actions: Vec::new(),
        };
        let folded = restored.records.clone();
        Ok(Self {
            engine: Engine::start(settings, restored.cursor, restored.cursor),
            inventory: Inventory::new(restored, Duration::from_secs(2)),
            clock: Clock::start(),
            changes: vec![],
            gaps: vec![],
            reasons: vec![],
            folded: folded.map(|records| records.into_iter().map(|record| (record.id, record)).collect()),
        })
    }

    /// Goes on until the condition holds.
    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let going = async {
            while !condition(self) {
                self.step().await;
            }
        };
        if tokio::time::timeout(DEADLINE, going).await.is_err() {
            bail!("waited for {what}; told: {:#?}; away: {:?}", self.told(""), self.reasons);
        }
        Ok(())
    }

    /// Goes on until the records are all that the engine has.
    pub(crate) async fn complete(&mut self) -> Result<()> {
        self.until("all containers", |watch| watch.inventory.complete()).await
    }

    /// Goes on until this was told of the container of this name.
    pub(crate) async fn until_told(&mut self, name: &str, action: &Action) -> Result<()> {
        let what = format!("{} of {name}", action.as_str());
        let is_it = |change: &Change| change.action == *action && change.name.as_deref() == Some(name);
        self.until(&what, |watch| watch.changes.iter().any(is_it)).await
    }

    /// The actions that were told of names that begin like this, with the state that they set.
    pub(crate) fn told(&self, begin: &str) -> Vec<String> {
        let about = |change: &&Change| change.name.as_deref().unwrap_or_default().starts_with(begin);
        let text = |change: &Change| {
            let set = serde_json::to_value(&change.set).unwrap_or_default();
            let field = |name: &str| set.get(name).map(|value| value.to_string().replace('"', ""));
            let fields = ["state", "health", "exit_code", "name"]
                .map(|name| field(name).filter(|_| name != "name" || change.action == Action::Rename));
            let fields = fields.into_iter().flatten().map(|value| format!(" {value}"));
            format!("{}{}", change.action.as_str(), fields.collect::<String>())
        };
        self.changes.iter().filter(about).map(text).collect()
    }

    /// The engine's events that were told, in order.
    pub(crate) fn events(&self) -> Vec<(i64, Action, ContainerId)> {
        self.changes.iter().filter_map(|change| Some((change.time?, change.action.clone(), change.id?))).collect()
    }

    /// The record of the container of this name.
    pub(crate) fn record(&self, name: &str) -> Option<&Record> {
        self.inventory.records().values().find(|record| &*record.name == name)
    }

    /// What a later life of the agent is given.
    pub(crate) fn remembered(&self) -> Restored {
        let records = self.inventory.records().values().cloned().collect();
        Restored { records: Some(records), cursor: self.inventory.cursor() }
    }

    async fn step(&mut self) {
        let timeout = self.inventory.poll_timeout();
        let notice = tokio::select! {
            notice = self.engine.next() => Some(notice),
            () = self.clock.sleep_until(timeout) => None,
        };
        let now = self.clock.now();
        match notice {
            Some(notice) => {
                if let Notice::Down { reason } = &notice {
                    self.reasons.push(reason.clone());
                }
                self.inventory.handle_notice(notice, now);
            }
            None => self.inventory.handle_timeout(now),
        }
        while let Some(effect) = self.inventory.next_effect() {
            match effect {
                Effect::List { ticket } => self.engine.list(ticket),
                Effect::Inspect { id } => self.engine.inspect(id),
                Effect::Reopen => self.engine.reopen(),
                Effect::Gap { .. } => self.gaps.push(self.changes.len()),
                Effect::Happened(change) => {
                    if let Some(folded) = &mut self.folded {
                        fold(folded, &change);
                    }
                    self.changes.push(change);
                }
            }
        }
        match &self.folded {
            Some(folded) => assert_eq!(folded, self.inventory.records(), "the changes make the records"),
            None if self.inventory.complete() => self.folded = Some(self.inventory.records().clone()),
            None => {}
        }
    }
}

fn fold(records: &mut BTreeMap<ContainerId, Record>, change: &Change) {
    let Some(id) = change.id else { return };
    if matches!(change.action, Action::Destroy | Action::Gone) {
        records.remove(&id);
    } else if !change.set.is_empty() {
        let record = change.set.apply(id, records.get(&id)).expect("the fields of a record");
        records.insert(id, record);
    }
}

/// Runs a command in a container, which the engine tells with events that nobody wants.
pub(crate) async fn exec(engine: &TestEngine, name: &str, line: &[&str]) -> Result<()> {
    let docker = engine.client()?;
    let config =
        ExecConfig { cmd: Some(line.iter().map(|word| (*word).to_owned()).collect()), ..ExecConfig::default() };
    let made = docker.create_exec(name, config).await?;
    let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
    docker.start_exec(&made.id, Some(options)).await?;
    Ok(())
}
