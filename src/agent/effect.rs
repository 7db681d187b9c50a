//! What the core asks of its shell.

use crate::engine::act::Act;
use crate::release::Order;
use radar_link::mqtt::Message;
use radar_wire::container::ContainerId;
use radar_wire::snapshot::Snapshot;

use std::path::PathBuf;

use super::keeping::Write;
use super::opening::Cursor;
use super::remark::Remark;
use super::takeover::TakeOver;

/// What the core asks of its shell, in the order in which it is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Start to read the engine, its events from this time on; once, before anything is asked of it.
    StartEngine {
        /// The engine's time in nanoseconds.
        since: Option<i64>,
        /// The engine's time of an event that an earlier life has read.
        read: Option<i64>,
    },
    /// Ask the engine for its list.
    List {
        /// Comes back with the answer.
        ticket: u64,
    },
    /// Ask the engine for a container's record.
    Inspect {
        /// The container.
        id: ContainerId,
    },
    /// Have the engine's events opened anew.
    ReopenEngine,
    /// Publish; what is not taken comes back in [`Agent::handle_not_published`](super::Agent::handle_not_published).
    Publish {
        /// Comes back with the delivery.
        key: u64,
        /// What.
        message: Message,
    },
    /// End this subscription.
    Unsubscribe(String),
    /// Connect with a session number above this one.
    RaiseSession(u64),
    /// Write the outbox file and answer with [`Agent::handle_written`](super::Agent::handle_written).
    Write(Write),
    /// Write the journal of commands and answer with [`Agent::handle_commands_written`](super::Agent::handle_commands_written).
    WriteCommands(Vec<u8>),
    /// Write the journal of updates, or remove it when it is empty, and answer with
    /// [`Agent::handle_updates_written`](super::Agent::handle_updates_written).
    WriteUpdates(Vec<u8>),
    /// Have the engine do this; it answers with [`Notice::Acted`](crate::engine::notice::Notice::Acted).
    Act {
        /// Comes back with the answer.
        ticket: u64,
        /// What.
        act: Act,
    },
    /// Let an act tell more, after a [`Notice::Told`](crate::engine::notice::Notice::Told).
    More {
        /// The act's.
        ticket: u64,
    },
    /// End an act before its time.
    Cancel {
        /// The act's.
        ticket: u64,
    },
    /// Read what the host uses and answer with [`Agent::handle_host`](super::Agent::handle_host).
    ReadHost,
    /// Fetch a new version of the agent and answer with [`Agent::handle_fetched`](super::Agent::handle_fetched).
    Fetch(Order),
    /// Pull an image for the agent's own container, and answer likewise, with its id; none for the one that it is from.
    FetchImage {
        /// The image.
        image: Box<str>,
        /// The container.
        own: ContainerId,
    },
    /// Remove what was fetched beside this program, and the note of it: it is not tried.
    Discard(Option<PathBuf>),
    /// Write the note for a helper and answer with [`Agent::handle_noted`](super::Agent::handle_noted).
    WriteTakeOver(Vec<u8>),
    /// Start a helper that replaces the agent's container, and answer with
    /// [`Agent::handle_stayed`](super::Agent::handle_stayed) when it does not.
    HandOver(Box<TakeOver>),
    /// Write the note of a trial and answer with [`Agent::handle_noted`](super::Agent::handle_noted).
    WriteNote(Vec<u8>),
    /// Write the cursor file.
    WriteCursor(Cursor),
    /// Log this.
    Say(Remark),
    /// Write what the next start goes on with: the outbox, then the state.
    Finish {
        /// The outbox file.
        outbox: Vec<u8>,
        /// The state at the stop; none when there is none yet.
        stopped: Option<Snapshot>,
    },
    /// End the connection and the agent.
    Stopped {
        /// Whether the broker is connected and has not taken the goodbye: then its last will has to tell it, so the
        /// connection is cut.
        unsaid: bool,
    },
}
