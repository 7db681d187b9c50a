//! What both programs of Radar Edge stand on: the MQTT session, tasks, back-off, settings,
//! logging. Nothing here knows a container, an agent or a topic; domain words belong to the
//! programs.
//!
//! Reading order: [`mqtt`] is the heart, a session that survives every loss of the broker and
//! tells its owner exactly which messages the broker has taken; [`pacing`] says how long it
//! waits between attempts. [`settings`] and [`secret`] bring the configuration in,
//! [`proxy`] is a way out where there is no other; [`logging`] and [`tasks`] carry the program, [`time`] and [`files`] are the only rooms
//! that read clocks and that write what must survive a power cut; [`jws`] signs and verifies.

pub mod files;
pub mod jws;
pub mod logging;
pub mod mqtt;
pub mod pacing;
pub mod proxy;
pub mod secret;
pub mod settings;
pub mod tasks;
pub mod time;
