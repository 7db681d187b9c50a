//! What a command is about, and what it asks of the engine.

use std::collections::BTreeMap;

use radar_wire::command::{Command, Prunable};
use radar_wire::container::{ContainerId, Record, State};

use super::{Rules, named, policy};
use crate::engine::act::Act;

/// Commands about one target are done one after the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// What takes the engine a moment.
    Host,
    Container(ContainerId),
    Image(Box<str>),
    /// What may take it minutes, and is about many.
    Unused,
}

impl Target {
    pub(super) fn of(act: &Act, container: Option<ContainerId>) -> Self {
        match (act, container) {
            (_, Some(id)) => Self::Container(id),
            (Act::Pull { image } | Act::RemoveImage { image, .. }, None) => Self::Image(image.clone()),
            (Act::Prune { .. } | Act::RemoveStopped { .. }, None) => Self::Unused,
            _ => Self::Host,
        }
    }
}

/// The beginning of an id must be at least this long: a short name is meant as a name.
const SHORTEST_ID: usize = 6;

/// The container of this name, of this id, or whose id begins so.
pub(super) fn find<'a>(
    records: impl Iterator<Item = (&'a ContainerId, &'a Record)> + Clone,
    named: &str,
) -> Result<&'a Record, String> {
    let named = named.trim_start_matches('/');
    if let Some((_, record)) = records.clone().find(|(_, record)| &*record.name == named) {
        return Ok(record);
    }
    let begins = named.len() >= SHORTEST_ID && named.bytes().all(|byte| byte.is_ascii_hexdigit());
    let named_id = named.to_ascii_lowercase();
    let mut found = records.filter(|(id, _)| begins && id.to_string().starts_with(&named_id)).map(|(_, record)| record);
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record),
        (Some(_), Some(_)) => Err(format!("ambiguous: several ids begin with {named}")),
        (None, _) => Err(format!("not-found: no container is called {}", shown(named))),
    }
}

/// A name that came from elsewhere, without what a terminal would obey.
fn shown(name: &str) -> String {
    name.chars().take(100).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The containers that do not run and that nothing keeps: neither that it is the agent's own, nor its labels.
fn stopped(records: &BTreeMap<ContainerId, Record>, rules: &Rules) -> Vec<ContainerId> {
    let is_kept = |record: &Record| {
        let denied = |action| policy::narrowed(action, &record.labels).is_err();
        rules.is_own(&record.id) || policy::is_protected(&record.labels) || denied("prune") || denied("remove")
    };
    let has_ended = |record: &&Record| matches!(record.state, State::Created | State::Exited | State::Dead);
    records.values().filter(has_ended).filter(|record| !is_kept(record)).map(|record| record.id).collect()
}

/// What the engine is to do, or why it is not.
pub(super) fn act(
    command: &Command,
    id: Option<ContainerId>,
    records: &BTreeMap<ContainerId, Record>,
    rules: &Rules,
    podman: bool,
) -> Result<Act, String> {
    Ok(match (command.clone(), id) {
        (Command::Start { .. }, Some(id)) => Act::Start { id },
        (Command::Stop { timeout, .. }, Some(id)) => Act::Stop { id, timeout },
        (Command::Restart { timeout, .. }, Some(id)) => Act::Restart { id, timeout },
        (Command::Kill { signal, .. }, Some(id)) => Act::Kill { id, signal },
        (Command::Pause { .. }, Some(id)) => Act::Pause { id },
        (Command::Unpause { .. }, Some(id)) => Act::Unpause { id },
        (Command::Rename { to, .. }, Some(id)) => Act::Rename { id, to },
        (Command::Remove { force, volumes, .. }, Some(id)) => Act::Remove { id, force, volumes },
        (Command::Inspect { .. }, Some(id)) => Act::Inspect { id },
        (Command::Top { .. }, Some(id)) => Act::Top { id },
        (Command::Images, None) => Act::Images,
        (Command::Networks, None) => Act::Networks,
        (Command::Volumes, None) => Act::Volumes,
        (Command::Logs { tail, since, until, timestamps, follow, .. }, Some(id)) => {
            Act::Logs { id, tail, since, until, timestamps, follow }
        }
        (Command::Pull { image }, None) => Act::Pull { image: named::image(&image)? },
        (Command::RemoveImage { image, force }, None) => Act::RemoveImage { image: named::image_or_id(&image)?, force },
        (Command::CreateNetwork { network, driver, internal }, None) => {
            let driver = named::driver(driver.as_deref())?;
            Act::CreateNetwork { network: named::network(&network)?, driver, internal }
        }
        (Command::RemoveNetwork { network }, None) => {
            if named::is_built_in(&network, podman) {
                return Err(format!("built-in: the engine comes with the network {network}, and it is not removed"));
            }
            Act::RemoveNetwork { network: named::network(&network)? }
        }
        (Command::CreateVolume { volume, driver }, None) => {
            Act::CreateVolume { volume: named::volume(&volume)?, driver: named::driver(driver.as_deref())? }
        }
        (Command::RemoveVolume { volume }, None) => Act::RemoveVolume { volume: named::volume(&volume)? },
        (Command::Prune { what: Prunable::Containers, .. }, None) => {
            Act::RemoveStopped { ids: stopped(records, rules) }
        }
        (Command::Prune { what, all }, None) => Act::Prune { what, all },
        _ => return Err("unknown-command: this version of the agent does not know it".to_owned()),
    })
}
