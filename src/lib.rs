//! `radar-agent`: watches the container engine of one host and tells what it sees over MQTT.
//!
//! Reading order: [`arguments`] says what it can be started for, [`settings`] what can be set. [`agent`] is the core
//! that decides everything: what is known of the containers ([`agent::inventory`]), which events wait for the
//! broker ([`agent::outbox`]), what is said of the agent itself. [`shell`] is the event loop around it, with
//! the disk beneath; [`engine`] talks to Docker or Podman, [`kernel`] reads what the host uses, [`mounts`] in which container the agent runs, and [`registries`] who
//! it is where images are pulled from. [`release`] fetches new versions of the agent itself, and [`takeover`] replaces
//! its container.

pub mod agent;
pub mod arguments;
pub mod engine;
pub mod health;
pub mod identity;
pub mod kernel;
pub mod mounts;
pub mod registries;
pub mod release;
pub mod settings;
pub mod shell;
pub mod takeover;

pub use settings::Settings;
pub use shell::{RunError, run};

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that the program was built from, where the build says so.
pub const COMMIT: Option<&str> = option_env!("RADAR_COMMIT");

/// The version and the commit, as `--version` tells them.
#[must_use]
pub fn version() -> String {
    COMMIT.map_or_else(|| VERSION.to_owned(), |commit| format!("{VERSION} ({commit})"))
}
