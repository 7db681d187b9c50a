use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel reports CPU time to user space in hundredths of a second on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// What a process uses, read from `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcStat {
    /// Resident set size in bytes.
    pub rss: u64,
    /// Of it, memory that belongs to no file, in bytes.
    pub anonymous: u64,
    /// User and system time since its start, in steps of 10 ms.
    pub cpu: Duration,
}

impl ProcStat {
    /// Reads the figures of one process.
    pub fn read(pid: u32) -> Result<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .with_context(|| format!("memory of process {pid}"))?;
        let stat =
            fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("CPU time of process {pid}"))?;
        Ok(Self {
            rss: kilobytes(&maps, "Rss:").context("no Rss in smaps_rollup")?,
            anonymous: kilobytes(&maps, "Anonymous:").context("no Anonymous in smaps_rollup")?,
            cpu: cpu(&stat).context("no CPU time in stat")?,
        })
    }
}

fn kilobytes(maps: &str, key: &str) -> Option<u64> {
    let line = maps.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// utime and stime are fields 14 and 15; the name before them may hold spaces and parentheses.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Whether a thread of the process is not stopped. The signal is sent to all at once, and each obeys when it runs next.
pub(super) fn moves(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut states = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    states.any(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('T')))
}
