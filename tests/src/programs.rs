//! Our two programs, built as a user would build them. How they are set and started belongs to whoever tests
//! them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// The directory of both programs, in the profile of this test run; they are built once in it.
pub async fn built() -> Result<&'static Path> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let built = BUILT.get_or_try_init(async || {
        let own = std::env::current_exe().context("the test's own path")?;
        let directory = own.ancestors().nth(2).context("the directory of the programs")?;
        let mut build = by_hand(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "-p", "radar-agent", "-p", "radar-bridge"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        build.env("CARGO_TARGET_DIR", directory.parent().context("the target directory")?);
        build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        ensure!(build.status().await.context("cargo build")?.success(), "the programs do not build");
        Ok(directory.to_path_buf())
    });
    built.await.map(PathBuf::as_path)
}

/// A command that may build, without what cargo tells its tests: build scripts take some of it for a change, and
/// half of the dependencies would be built again.
pub fn by_hand(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Writes a file that is to be executed, in place of what is there. Another process writes it: while a test beside this
/// one starts a program, that holds a copy of what this process has open, and such a file would be busy.
pub fn put(file: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut writing = std::process::Command::new("sh");
    writing.args(["-c", r#"rm -f "$1" && cat >"$1" && chmod 755 "$1""#, "put"]).arg(file).stdin(Stdio::piped());
    let mut writing = writing.spawn().context("sh")?;
    writing.stdin.take().context("its input")?.write_all(bytes.as_ref()).context("a program")?;
    ensure!(writing.wait()?.success(), "{} is not written", file.display());
    Ok(())
}
