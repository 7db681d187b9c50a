//! The agent's way to the engine and its inventory, against a real Docker engine of its own.

mod actor;
mod acts;
mod away;
mod life;
mod records;
mod update;
mod updater;
mod watch;
