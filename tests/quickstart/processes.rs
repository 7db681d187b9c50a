use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A process, told from a later one with the same id by its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) pid: u32,
    pub(crate) name: String,
    parent: u32,
    started: u64,
    zombie: bool,
}

impl Known {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may hold anything.
        let (head, rest) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let mut fields = rest.split_whitespace();
        let zombie = fields.next()? == "Z";
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { pid, name, parent, started, zombie })
    }

    /// Whether it is still there.
    pub(crate) fn lives(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started && !now.zombie)
    }
}

/// A process, everything whose command line names the directory, and all children of these.
pub(crate) fn family(root: u32, directory: &Path) -> Result<Vec<Known>> {
    let directory = directory.display().to_string();
    let mut all = Vec::new();
    let mut members = BTreeSet::new();
    for entry in fs::read_dir("/proc").context("/proc")? {
        let name = entry?.file_name();
        let Some(known) = name.to_str().and_then(|name| name.parse().ok()).and_then(Known::read) else { continue };
        let line = fs::read(format!("/proc/{}/cmdline", known.pid)).unwrap_or_default();
        if known.pid == root || String::from_utf8_lossy(&line).contains(&directory) {
            members.insert(known.pid);
        }
        all.push(known);
    }
    loop {
        let before = members.len();
        members.extend(
            all.iter().filter(|known| members.contains(&known.parent)).map(|known| known.pid).collect::<Vec<_>>(),
        );
        if members.len() == before {
            break;
        }
    }
    Ok(all.into_iter().filter(|known| members.contains(&known.pid) && !known.zombie).collect())
}
