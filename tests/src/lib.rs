//! What the tests stand on: the real programs of the outside world, each private to the test that starts
//! it, and everything that can go wrong with them. Only [`fleet`], [`measure`] and [`programs`] know ours.
//!
//! Read [`process`] first: whatever is started cannot outlive the test, also when the test is killed.

pub mod broker;
pub mod certificates;
pub mod clock;
pub mod disk;
pub mod engine;
pub mod fleet;
pub mod forward;
pub mod front;
pub mod gate;
pub mod limits;
pub mod measure;
pub mod observer;
pub mod port;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod registry;
pub mod server;
pub mod wait;
