//! All state of the agent: pure, without I/O and without a clock.

pub mod inventory;
pub mod outbox;
