//! What is on the disk of an update that is under way: who was who, and how far it is. It holds what cannot be found
//! out by looking at the engine; what names and states tell is not noted.

use std::collections::{BTreeMap, BTreeSet};

use radar_wire::container::ContainerId;
use serde::{Deserialize, Serialize};

use super::blueprint::Blueprint;

/// What a container did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Was {
    Running,
    Paused,
    Stopped,
}

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Nobody knows yet whether the new one works: who comes back goes back.
    Trying,
    /// The new one works: who comes back finishes.
    Proven,
}

/// A container that gives its place to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) name: Box<str>,
    pub(super) old: ContainerId,
    /// Known from its creation on, and noted before it gets the name.
    pub(super) new: Option<ContainerId>,
    pub(super) was: Was,
    /// The id of the old one's image.
    pub(super) image: Box<str>,
    /// The names of the old one's networks.
    pub(super) networks: BTreeSet<Box<str>>,
    /// How the old one is made again, where the engine removes it when it stops, or where it lives in one of those.
    pub(super) again: Option<Blueprint>,
}

/// An update that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) phase: Phase,
    /// The ids of the images.
    pub(super) from: Box<str>,
    pub(super) to: Box<str>,
    /// The container itself, and those that live in its namespaces.
    pub(super) members: Vec<Member>,
    /// What the names of the old ones and of the new ones end with meanwhile.
    pub(super) mark: Box<str>,
}

impl Entry {
    /// What an old one is called meanwhile.
    pub(super) fn backup(&self, at: usize) -> Box<str> {
        format!("{}-radar-old-{}", self.members[at].name, self.mark).into()
    }

    /// What a new one is called at first.
    pub(super) fn temporary(&self, at: usize) -> Box<str> {
        format!("{}-radar-new-{}", self.members[at].name, self.mark).into()
    }

    /// Whether this container is one of them.
    pub(super) fn has(&self, id: ContainerId) -> bool {
        self.members.iter().any(|member| member.old == id || member.new == Some(id))
    }
}

/// The updates under way, by the names of their commands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal(pub(super) BTreeMap<Box<str>, Entry>);

impl Journal {
    /// Reads what was written.
    ///
    /// # Errors
    /// It is not whole.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            Ok(Self::default())
        } else {
            ciborium::from_reader(bytes).map_err(|error| error.to_string())
        }
    }

    /// The form in which it is written; empty when nothing is under way.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() { Vec::new() } else { crate::agent::spool::cbor(self) }
    }
}

/// What the names of an update's containers end with: the last six of the command's own, which tell it from others.
pub(super) fn mark(jti: &str) -> Box<str> {
    let all: Vec<char> = jti.chars().filter(char::is_ascii_alphanumeric).collect();
    all[all.len().saturating_sub(6)..].iter().collect::<String>().into()
}
