use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

const APPLETS: &[&str] = &[
    "cat", "date", "dd", "echo", "env", "false", "grep", "head", "ls", "mkdir", "nc", "rm", "seq", "sh", "sleep",
    "tail", "test", "touch", "true", "wget", "yes",
];

/// A root file system with the host's static busybox, as a tar archive.
pub(super) fn root_filesystem(scratch: &Path) -> Result<Vec<u8>> {
    let root = scratch.join("rootfs");
    let bin = root.join("bin");
    fs::create_dir_all(&bin).context("the image's directory")?;
    for directory in ["tmp", "etc", "proc", "dev", "sys"] {
        fs::create_dir_all(root.join(directory)).context("the image's directories")?;
    }
    fs::copy("/bin/busybox", bin.join("busybox")).context("/bin/busybox, from busybox-static")?;
    for applet in APPLETS {
        let link = bin.join(applet);
        if !link.exists() {
            symlink("busybox", link).context("an applet of the image")?;
        }
    }
    packed(&root)
}

/// The same with files of this host, each with its place in the image, and the libraries that they need.
pub(super) fn with_files(scratch: &Path, files: &[(&Path, &str)]) -> Result<Vec<u8>> {
    root_filesystem(scratch)?;
    let root = scratch.join("rootfs");
    let copy = |from: &Path, to: &str| -> Result<()> {
        let inside = root.join(to.trim_start_matches('/'));
        fs::create_dir_all(inside.parent().context("a file's directory")?).context("a file's directory")?;
        fs::copy(from, inside).map(drop).with_context(|| format!("{} for the image", from.display()))
    };
    for (file, place) in files {
        copy(file, place)?;
        let needed = Command::new("ldd").arg(file).output().context("ldd, for the libraries of a file")?;
        let needed = String::from_utf8_lossy(&needed.stdout).into_owned();
        for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), library)?;
        }
    }
    packed(&root)
}

fn packed(root: &Path) -> Result<Vec<u8>> {
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(root).args(["--owner=0", "--group=0", "-cf", "-", "."]);
    let tar = tar.output().context("tar is needed for the image")?;
    if !tar.status.success() {
        bail!("tar: {}", String::from_utf8_lossy(&tar.stderr));
    }
    Ok(tar.stdout)
}
