//! `radar-agent`: watches the container engine of one host and tells what it sees over MQTT.

pub mod agent;
pub mod engine;
