//! What an event says of its container by itself, when nothing better is known.

use radar_wire::container::{Record, State};
use radar_wire::event::Action;

use crate::engine::notice::EngineEvent;

/// Whether the engine must be asked what the event changed.
pub(super) fn changes(event: &EngineEvent, known: bool) -> bool {
    match event.action {
        Action::Kill | Action::Oom | Action::Destroy => false,
        // The event tells all that changed.
        Action::HealthStatus => !known || event.health.is_none(),
        _ => true,
    }
}

/// The record after an event, as far as the event tells.
pub(super) fn applied(record: &Record, event: &EngineEvent) -> Record {
    let mut record = record.clone();
    match event.action {
        Action::Die => {
            record.state = State::Exited;
            record.exit_code = event.exit_code;
        }
        Action::Start | Action::Restart | Action::Unpause => {
            record.state = State::Running;
            record.exit_code = None;
        }
        Action::Pause => record.state = State::Paused,
        Action::Rename => record.name = event.name.clone().unwrap_or(record.name),
        Action::HealthStatus => record.health = event.health.clone().or(record.health),
        _ => {}
    }
    record
}
