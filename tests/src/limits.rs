//! How many files this process may open. Ten thousand connections need as many, and the usual limit is a
//! thousand; what may be raised is raised by starting the same program again under a shell.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Returns when `needed` files can be open at once. Where the limit may be raised, this program is replaced
/// by itself under a higher one, so call it before anything else. Children inherit it.
pub fn ensure_open_files(needed: u64) -> Result<()> {
    let (soft, hard) = open_files()?;
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        bail!("{needed} open files are needed and {hard} are allowed: as root, run `ulimit -n {needed}` first");
    }
    let program = std::env::current_exe().context("the path of this program")?;
    let error = Command::new("sh")
        .args(["-c", r#"ulimit -S -n "$(ulimit -H -n)" && exec "$0" "$@""#])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("starting this program again with a higher limit of open files")
}

/// The limit that holds, and the one up to which it may be raised.
fn open_files() -> Result<(u64, u64)> {
    let limits = fs::read_to_string("/proc/self/limits").context("the limits of this process")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut values = line.context("no limit of open files")?.split_whitespace();
    let mut value = || match values.next() {
        Some("unlimited") => Some(u64::MAX),
        Some(number) => number.parse().ok(),
        None => None,
    };
    value().zip(value()).context("the limits of open files are not two numbers")
}
