//! What a process uses, in finer steps than the kernel's clock ticks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::ProcStat;

/// The CPU time of a process from one moment to another.
#[derive(Debug)]
pub(super) struct Cpu {
    pid: u32,
    threads: BTreeMap<PathBuf, Duration>,
    ticks: Duration,
}

impl Cpu {
    /// Begins to count.
    pub(super) fn watch(pid: u32) -> Result<Self> {
        Ok(Self { pid, threads: threads(pid)?, ticks: ProcStat::read(pid)?.cpu })
    }

    /// CPU time since then. What a thread used that has ended meanwhile is known in steps of 10 ms only.
    pub(super) fn used(&self) -> Result<Duration> {
        let exact: Duration = threads(self.pid)?
            .into_iter()
            .map(|(thread, time)| time.saturating_sub(self.threads.get(&thread).copied().unwrap_or_default()))
            .sum();
        let coarse = ProcStat::read(self.pid)?.cpu.saturating_sub(self.ticks);
        Ok(exact.max(coarse.saturating_sub(Duration::from_millis(20))))
    }
}

/// The time that the scheduler gave to each thread, in nanoseconds.
fn threads(pid: u32) -> Result<BTreeMap<PathBuf, Duration>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("the threads of process {pid}"))?;
    let time = |path: PathBuf| {
        let schedstat = fs::read_to_string(path.join("schedstat")).ok()?;
        let nanoseconds = schedstat.split_whitespace().next()?.parse().ok()?;
        Some((path, Duration::from_nanos(nanoseconds)))
    };
    Ok(tasks.flatten().filter_map(|task| time(task.path())).collect())
}

/// The time that all processors of this host were busy, since its start, in steps of 10 ms.
pub(super) fn busy() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("the host's CPU time")?;
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu ")).context("no line of all processors")?;
    let ticks: Vec<u64> = all.split_whitespace().map_while(|number| number.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, irq, softirq, stolen, ..] = ticks[..] else {
        bail!("the line of all processors is too short");
    };
    Ok(Duration::from_millis(10 * (user + nice + system + irq + softirq + stolen)))
}

/// The size of a program's file with those of all libraries that its process has loaded.
pub(super) fn size_with_libraries(pid: u32) -> Result<u64> {
    let maps =
        fs::read_to_string(format!("/proc/{pid}/maps")).with_context(|| format!("the files of process {pid}"))?;
    let mut files: Vec<&str> = maps.lines().filter_map(|line| Some(&line[line.find('/')?..])).collect();
    files.sort_unstable();
    files.dedup();
    let code = files.iter().filter(|file| file.contains(".so") || file.contains("bin/"));
    Ok(code.filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum())
}

/// The most bytes that the control group of a process has ever had, with what the kernel keeps of its files.
pub(super) fn most_memory(pid: u32) -> Result<u64> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).context("its control groups")?;
    let file = groups.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        match line.split_once(':')? {
            ("memory", path) => Some(format!("/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes")),
            ("", path) => Some(format!("/sys/fs/cgroup{path}/memory.peak")).filter(|file| Path::new(file).exists()),
            _ => None,
        }
    });
    let file = file.context("no control group counts its memory")?;
    let text = fs::read_to_string(&file).with_context(|| file.clone())?;
    text.trim().parse().with_context(|| file)
}
