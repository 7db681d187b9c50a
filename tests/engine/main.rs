//! The agent's way to the engine and its inventory, against a real Docker engine of its own.

mod acts;
mod away;
mod life;
mod records;
mod watch;
