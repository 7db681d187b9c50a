//! What belongs to a private Podman: its files, and how its API is started.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Kind;
use crate::port;
use crate::process::{self, Launch};

/// Podman on the data of a directory, for its API and for its end.
const PODMAN: &str = include_str!("podman.sh");

/// Podman's containers are nobody's children: they are removed one by one.
const END_CONTAINERS: &str = include_str!("podman_end.sh");

/// For registries of tests: a port is trusted without TLS before anybody listens on it.
const REGISTRIES: usize = 4;

/// The user of a rootless Podman, of a range that is nobody's, and the users of its containers.
const USER: u32 = 60_600;
const FIRST_OF_CONTAINERS: u32 = 1_600_000_000;

/// Writes the files of an engine; returns the ports of registries that it speaks HTTP with.
pub(super) fn prepare(directory: &Path, kind: Kind) -> Result<Vec<u16>> {
    let write =
        |name: &str, text: &str| fs::write(directory.join(name), text).with_context(|| format!("Podman's {name}"));
    write("podman.sh", PODMAN)?;
    let settings = include_str!("containers.conf").replace("DIRECTORY", &directory.display().to_string());
    write("containers.conf", &settings)?;
    let ports: Vec<u16> = (0..REGISTRIES).map(|_| port::free()).collect::<Result<_, _>>()?;
    let mut registries = "unqualified-search-registries = [\"docker.io\"]\n".to_owned();
    for port in &ports {
        registries.push_str(&format!("[[registry]]\nlocation = \"127.0.0.1:{port}\"\ninsecure = true\n"));
    }
    write("registries.conf", &registries)?;
    if kind == Kind::RootlessPodman {
        let home = directory.join("home");
        let with = |file: &str, line: String| {
            let host = fs::read_to_string(Path::new("/etc").join(file)).unwrap_or_default();
            write(file, &format!("{host}{line}\n"))
        };
        with("passwd", format!("radar-rootless:x:{USER}:{USER}::{}:/bin/sh", home.display()))?;
        with("group", format!("radar-rootless:x:{USER}:"))?;
        for file in ["subuid", "subgid"] {
            write(file, &format!("radar-rootless:{FIRST_OF_CONTAINERS}:65536\n"))?;
        }
        write("user", &USER.to_string())?;
    }
    Ok(ports)
}

/// How its API is started.
pub(super) fn launch(directory: &Path, host: &str) -> Launch {
    Launch::new("sh", directory.join("log"))
        .args(["-c", PODMAN, "podman", &directory.display().to_string()])
        .args(["system", "service", "--time=0", host])
        .env("PATH", process::SYSTEM_PATH)
        .grace(Duration::from_secs(20))
        .privileged()
        .owns(directory)
        .finally(END_CONTAINERS)
}
