//! The built programs against a real engine, a real broker and the double of the server, with everything
//! that goes wrong between them. What each test asserts on is what a user sees: the bridge's history,
//! its list of agents, and the server's view.

mod accounts;
mod agent_away;
mod bridge_away;
mod broker_away;
mod certificates;
mod commands;
mod disk_full;
mod engine_away;
mod fleet;
mod hostile;
mod logs;
mod main_job;
mod managed;
mod network;
mod presence;
mod samples;
mod secrets;
mod self_update;
mod server_away;
mod skew;
mod take_over;
mod ways_through;
mod world;
