//! What commands ask of the shell, in the agent's hands.

use std::path::PathBuf;

use radar_wire::command::Progress;
use radar_wire::container::ContainerId;
use radar_wire::stats::Stats;

use super::super::takeover::TakeOver;
use crate::engine::act::Act;
use crate::release;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Effect {
    /// Write the journal, and say so to `Commands::handle_written`.
    Write(Vec<u8>),
    /// Write the journal of updates, and say so to `Commands::handle_updates_written`.
    WriteUpdates(Vec<u8>),
    /// Have the engine do this, and hand its answer to `Commands::handle_acted`.
    Act { ticket: u64, act: Act },
    /// Let an act tell more.
    More { ticket: u64 },
    /// End an act before its time.
    Cancel { ticket: u64 },
    /// Read what the host uses for `Commands::handle_host`, and have the engine read what its containers use.
    Sample { ticket: u64 },
    /// Publish this sample.
    Sampled(Stats),
    /// Fetch a new version of the agent, and hand what comes of it to `Commands::handle_fetched`.
    Fetch(release::Order),
    /// Pull an image for the agent's own container, likewise.
    FetchImage { image: Box<str>, own: ContainerId },
    /// Remove the file of a new version that is not tried after all, and the note of it.
    Discard(Option<PathBuf>),
    /// The same as the next, for a helper.
    WriteTakeOver(Vec<u8>),
    /// Start a helper that replaces the agent's container; `Commands::handle_stayed` when it does not.
    HandOver(Box<TakeOver>),
    /// Write the note of a trial, and say so to `Commands::handle_noted`.
    WriteNote(Vec<u8>),
    /// So many messages were no commands of anybody who may ask, the last for this reason.
    Ignored { messages: u64, reason: String },
    /// A command was accepted or refused; for the log.
    Told { who: String, what: String, state: Progress, reason: Option<Box<str>> },
}
