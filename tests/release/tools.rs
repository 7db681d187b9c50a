//! A machine as its scripts see it: a directory with the programs that it has, and nothing else in the PATH.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use radar_tests::programs::put;
use tempfile::TempDir;

/// What every Debian has.
const BASE: &[&str] = &[
    "awk",
    "bash",
    "cat",
    "chmod",
    "cp",
    "env",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sync",
    "tail",
    "tr",
    "uname",
    "wc",
];

/// The directory.
pub(crate) struct Tools(TempDir);

impl Tools {
    /// What every Debian has, and these.
    pub(crate) fn with(more: &[&str]) -> Result<Self> {
        let tools = Self(tempfile::tempdir_in("/tmp").context("a directory for programs")?);
        for name in BASE.iter().chain(more) {
            let program = find(name).with_context(|| format!("{name} is not here"))?;
            symlink(program, tools.0.path().join(name))?;
        }
        Ok(tools)
    }

    /// Without one of them.
    pub(crate) fn without(self, name: &str) -> Result<Self> {
        fs::remove_file(self.0.path().join(name)).context("it was not there")?;
        Ok(self)
    }

    /// With a script in place of one of them.
    pub(crate) fn script(self, name: &str, body: &str) -> Result<Self> {
        let path = self.0.path().join(name);
        put(&path, format!("#!/bin/sh\n{body}\n"))?;
        Ok(self)
    }

    /// The PATH.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Where a program is.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
}
