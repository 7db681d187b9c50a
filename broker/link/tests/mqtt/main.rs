//! The session against a real Mosquitto.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod broker;
mod delivery;
mod faults;
mod owner;
mod presence;
mod proxy;
mod refusal;
mod stall;
mod through;
mod tls;
mod unruly;
