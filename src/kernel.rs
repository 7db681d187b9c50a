//! What the host as a whole uses, from the kernel's own texts. What cannot be read, or is not the host's, is absent.

use std::fs;
use std::path::{Path, PathBuf};

use radar_wire::stats::Usage;

/// The length of a clock tick in nanoseconds, as the kernel counts for programs.
const TICK: u64 = 10_000_000;

/// The bytes of a sector, whatever the disk's own are.
const SECTOR: u64 = 512;

/// Where the texts are.
#[derive(Debug, Clone)]
pub struct Kernel {
    root: PathBuf,
    /// Whether this program runs in a container, whose network may be its own.
    contained: bool,
}

impl Kernel {
    /// Below this root.
    #[must_use]
    pub fn new(root: &Path, contained: bool) -> Self {
        Self { root: root.to_owned(), contained }
    }

    /// Reads what the host uses by now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let text = |name: &str| fs::read_to_string(self.root.join("proc").join(name)).unwrap_or_default();
        // What has a device beneath it is real: no bridge counts again what went through it.
        let is_card = |name: &str| self.has_device("sys/class/net", name);
        let is_disk = |name: &str| self.has_device("sys/block", name);
        let (memory, memory_limit) = memory(&text("meminfo")).unzip();
        let (received, sent) = network(&text("net/dev"), is_card, !self.contained).unzip();
        let (read, written) = disks(&text("diskstats"), is_disk).unzip();
        let (cpu, pids) = (cpu(&text("stat")), pids(&text("loadavg")));
        Usage { cpu, memory, memory_limit, received, sent, read, written, pids }
    }

    fn has_device(&self, class: &str, name: &str) -> bool {
        // The kernel writes a slash in a name as an exclamation mark there.
        let name = name.replace('/', "!");
        self.root.join(class).join(name).join("device").exists()
    }
}

/// The time that all processors together have worked, in nanoseconds.
fn cpu(stat: &str) -> Option<u64> {
    let mut fields = stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace().map(str::parse::<u64>);
    let mut next = || fields.next()?.ok();
    let (user, nice, system, _idle, _iowait) = (next()?, next()?, next()?, next()?, next()?);
    let (irq, softirq) = (next().unwrap_or(0), next().unwrap_or(0));
    // The time of guests is in that of their processes.
    let ticks = [user, nice, system, irq, softirq].into_iter().fold(0, u64::saturating_add);
    Some(ticks.saturating_mul(TICK))
}

/// Memory that is used and cannot be had by dropping caches, and all there is.
fn memory(meminfo: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let (total, available) = (field("MemTotal:")?, field("MemAvailable:")?);
    Some((total.checked_sub(available)?, total))
}

/// Bytes received and sent by the cards. Where there are none, as on some virtual machines, and the network is the
/// host's for certain, by all that is no loop and leads to no container.
fn network(dev: &str, is_card: impl Fn(&str) -> bool, is_hosts: bool) -> Option<(u64, u64)> {
    let line = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let mut counters = counters.split_whitespace().map(str::parse::<u64>);
        let received = counters.next()?.ok()?;
        Some((name.trim().to_owned(), received, counters.nth(7)?.ok()?))
    };
    let all: Vec<(String, u64, u64)> = dev.lines().filter_map(line).collect();
    let sum = |mut counted: Vec<&(String, u64, u64)>| {
        let (first, rest) = (counted.pop()?, counted);
        Some(rest.iter().fold((first.1, first.2), |(received, sent), one| {
            (one.1.saturating_add(received), one.2.saturating_add(sent))
        }))
    };
    let inside = ["lo", "veth", "docker", "br-", "virbr", "podman", "cni", "dummy", "ifb"];
    let outside = |name: &str| !inside.iter().any(|inside| name.starts_with(inside));
    sum(all.iter().filter(|(name, ..)| is_card(name)).collect())
        .or_else(|| sum(all.iter().filter(|(name, ..)| is_hosts && outside(name)).collect()))
}

/// Bytes read from and written to whole disks.
fn disks(diskstats: &str, is_disk: impl Fn(&str) -> bool) -> Option<(u64, u64)> {
    let line = |line: &str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().filter(|name| is_disk(name))?;
        let read = fields.nth(2)?.parse::<u64>().ok()?;
        Some((read, fields.nth(3)?.parse::<u64>().ok()?))
    };
    let sectors = diskstats.lines().filter_map(line);
    let (read, written) =
        sectors.reduce(|(read, written), one| (one.0.saturating_add(read), one.1.saturating_add(written)))?;
    Some((read.saturating_mul(SECTOR), written.saturating_mul(SECTOR)))
}

/// Processes and threads.
fn pids(loadavg: &str) -> Option<u64> {
    let (_, all) = loadavg.split_whitespace().nth(3)?.split_once('/')?;
    all.parse().ok()
}

#[cfg(test)]
mod tests;
