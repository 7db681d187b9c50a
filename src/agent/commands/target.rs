//! Which container a command means, and what it asks of the engine.

use radar_wire::command::Command;
use radar_wire::container::{ContainerId, Record};

use crate::engine::act::Act;

/// Commands about one target are done one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Host,
    Container(ContainerId),
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

/// What the engine is to do; none for what is not known.
pub(super) fn act(command: &Command, id: Option<ContainerId>) -> Option<Act> {
    Some(match (command.clone(), id) {
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
        _ => return None,
    })
}
