//! Every fixture of the test library does what it says, seen with the real programs.

mod broker;
mod disk;
mod engine;
mod process;
mod proxy;
mod registry;
