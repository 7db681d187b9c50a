//! What an accepted command comes to: an act that has its turn, or what goes on beside all turns.

use std::collections::BTreeMap;

use radar_wire::command::Command;
use radar_wire::container::{ContainerId, Record};

use super::super::sampling::Ask;
use super::super::streams::Asked;
use super::super::update::Order;
use super::target::{self, Target};
use super::{Rules, named};
use crate::engine::act::Act;

/// What an accepted command is.
#[derive(Debug)]
pub(super) enum Task {
    /// An act that has its turn.
    Act(Act),
    /// An act that tells a log.
    Log(Act, Asked),
    /// Samples are taken for a while.
    Sample(Ask),
    /// A container is replaced when it is its turn.
    Update(Order),
    /// The end of what this command has begun.
    Cancel(Box<str>),
}

impl Task {
    /// What a command is, of this container where it is about one; or why it is not done.
    pub(super) fn of(
        command: &Command,
        id: Option<ContainerId>,
        records: &BTreeMap<ContainerId, Record>,
        rules: &Rules,
        podman: bool,
    ) -> Result<Self, String> {
        if let (Command::Update { image, dry_run, patience, .. }, Some(id)) = (command, id) {
            let image = image.as_deref().map(named::image).transpose()?;
            return Ok(Self::Update(Order::new(id, image, *dry_run, *patience)));
        }
        Ok(match command {
            Command::Cancel { jti } => Self::Cancel(jti.clone()),
            Command::Stats { seconds, interval } => Self::Sample(Ask::new(*seconds, *interval)?),
            _ => match (target::act(command, id, records, rules, podman)?, command) {
                (act, Command::Logs { follow, limit, .. }) => Self::Log(act, Asked { follow: *follow, limit: *limit }),
                (act, _) => Self::Act(act),
            },
        })
    }

    /// Whether it waits for others about the same.
    pub(super) fn queues(&self) -> bool {
        matches!(self, Self::Act(_) | Self::Update(_))
    }

    /// What it is about.
    pub(super) fn target(&self, container: Option<ContainerId>) -> Target {
        match self {
            Self::Act(act) | Self::Log(act, _) => Target::of(act, container),
            Self::Update(_) | Self::Sample(_) | Self::Cancel(_) => container.map_or(Target::Host, Target::Container),
        }
    }
}
