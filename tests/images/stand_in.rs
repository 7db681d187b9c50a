//! The build image: Debian's packages and this machine's crates, so that nothing is fetched while an image is built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, ensure};
use radar_tests::programs::by_hand;
use tokio::process::Command;

use crate::workshop::{docker, repository};

/// The name of the image in the engine.
pub(crate) const NAME: &str = "stand-in:1";

const TOOLCHAIN: &str = "stand-in:toolchain";

/// Where packages and images are kept from one run to the next.
pub(crate) fn shelf() -> Result<PathBuf> {
    let own = std::env::current_exe().context("the test's own path")?;
    let shelf = own.ancestors().nth(3).context("the target directory")?.join("images");
    fs::create_dir_all(&shelf).with_context(|| shelf.display().to_string())?;
    Ok(shelf)
}

/// Puts it into the engine; the reason where Debian has not what it takes, for any processor or for this one.
pub(crate) async fn put(host: &str, processor: &str) -> Result<Result<(), String>> {
    let shelf = shelf()?;
    let script = repository().join("tests/images/stand-in");
    let made = Command::new(script).arg(&shelf).output().await.context("tests/images/stand-in")?;
    if made.status.code() == Some(3) {
        return Ok(Err(said(&made)));
    }
    ensure!(made.status.success(), "tests/images/stand-in: {}", said(&made));
    let missing = fs::read_to_string(shelf.join("missing")).unwrap_or_default();
    if let Some(line) = missing.lines().find(|line| line.starts_with(&format!("{processor}:"))) {
        return Ok(Err(format!("{line} (remove {} to ask again)", shelf.display())));
    }
    if docker(host, &["image", "inspect", NAME]).await.is_ok() {
        return Ok(Ok(()));
    }
    let root = shelf.join("root.tar").display().to_string();
    docker(host, &["import", "--change", "ENV PATH=/usr/bin:/usr/sbin", &root, TOOLCHAIN]).await?;
    let context = tempfile::tempdir().context("a directory for the crates")?;
    crates(context.path()).await?;
    let lines =
        format!("FROM {TOOLCHAIN}\nCOPY registry /cargo/registry\nENV CARGO_HOME=/cargo CARGO_NET_OFFLINE=true\n");
    fs::write(context.path().join("Dockerfile"), lines)?;
    docker(host, &["build", "--quiet", "--tag", NAME, &context.path().display().to_string()]).await?;
    Ok(Ok(()))
}

/// This machine's copy of the crates that `Cargo.lock` names, and of their places in the index.
async fn crates(to: &Path) -> Result<()> {
    let mut fetch = by_hand(env!("CARGO"));
    fetch.args(["fetch", "--quiet", "--locked"]);
    for processor in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "armv7-unknown-linux-gnueabihf"] {
        fetch.args(["--target", processor]);
    }
    let fetched = fetch.current_dir(repository()).output().await.context("cargo fetch")?;
    ensure!(fetched.status.success(), "cargo fetch: {}", said(&fetched));
    let home = Command::new("sh").args(["-c", "printf %s \"${CARGO_HOME:-$HOME/.cargo}\""]).output().await?;
    let registry = Path::new(&*String::from_utf8_lossy(&home.stdout)).join("registry");
    let lock = fs::read_to_string(repository().join("Cargo.lock")).context("Cargo.lock")?;
    let mut wanted = Vec::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(text) = line.strip_prefix("name = ") {
            name = text.trim_matches('"');
        } else if let Some(version) = line.strip_prefix("version = ") {
            wanted.push(format!("{name}-{}.crate", version.trim_matches('"')));
        }
    }
    for entry in fs::read_dir(registry.join("index")).context("cargo's index")? {
        let source = entry?.file_name();
        let (index, cache) = (Path::new("index").join(&source), Path::new("cache").join(&source));
        let (new_index, new_cache) = (to.join("registry").join(&index), to.join("registry").join(&cache));
        fs::create_dir_all(&new_index)?;
        fs::create_dir_all(&new_cache)?;
        let mut copy = Command::new("cp");
        copy.arg("-r").args([registry.join(&index).join("config.json"), registry.join(&index).join(".cache")]);
        ensure!(copy.arg(&new_index).status().await?.success(), "cargo's index cannot be copied");
        for file in &wanted {
            let from = registry.join(&cache).join(file);
            if from.exists() {
                fs::copy(&from, new_cache.join(file)).with_context(|| from.display().to_string())?;
            }
        }
    }
    Ok(())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
