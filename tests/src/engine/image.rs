use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

const APPLETS: &[&str] = &[
    "cat", "date", "dd", "echo", "env", "false", "head", "ls", "mkdir", "nc", "rm", "seq", "sh", "sleep", "tail",
    "test", "touch", "true", "wget", "yes",
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

/// The same with a program in `/bin`, and the libraries that it needs.
pub(super) fn with_program(scratch: &Path, program: &Path) -> Result<Vec<u8>> {
    root_filesystem(scratch)?;
    let root = scratch.join("rootfs");
    let name = program.file_name().context("a program has a name")?;
    fs::copy(program, root.join("bin").join(name)).context("the program")?;
    let needed = Command::new("ldd").arg(program).output().context("ldd, for the program's libraries")?;
    let needed = String::from_utf8_lossy(&needed.stdout).into_owned();
    for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
        let inside = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(inside.parent().context("a library's directory")?).context("a library's directory")?;
        fs::copy(library, inside).with_context(|| format!("the library {library}"))?;
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
