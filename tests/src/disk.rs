//! A disk that is soon full: a tmpfs with a size limit, filled and freed at will. Mounted under a
//! supervisor, so that it is unmounted however the test ends.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{self, Launch, Process};
use crate::wait::until;

const MOUNT: &str = r#"mount -t tmpfs -o "size=$1,uid=$2,gid=$3,mode=0700" tmpfs "$4" && exec sleep 1000000000"#;

/// A mounted small file system; unmounted when it is dropped.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    _mount: Process,
}

impl Disk {
    /// Mounts `size` bytes (the kernel rounds up to pages). `None`, and a line that says so, where
    /// mounting is not allowed.
    #[expect(clippy::print_stderr, reason = "a test that cannot run must say so")]
    pub async fn mount(size: u64) -> Result<Option<Self>> {
        let directory = process::directory("disk")?;
        let path = directory.join("mnt");
        fs::create_dir(&path).context("the mount point")?;
        let owner = fs::metadata(&path).context("the mount point's owner")?;
        let launch = Launch::new("sh", directory.join("log"))
            .args(["-c", MOUNT, "mount", &size.to_string()])
            .args([owner.uid().to_string(), owner.gid().to_string()])
            .args([&path])
            .privileged()
            .owns(&directory)
            .finally(r#"umount -l "$dir/mnt""#);
        let mounted = async {
            let mount = Process::start(&launch)?;
            until("the small disk", Duration::from_secs(10), async || match is_mounted(&path) {
                true => Ok(Ok(())),
                false if mount.exited().is_some() => Ok(mount.check_running()),
                false => Err("not mounted"),
            })
            .await??;
            anyhow::Ok(mount)
        };
        match mounted.await {
            Ok(mount) => Ok(Some(Self { path, _mount: mount })),
            Err(error) => {
                eprintln!("SKIPPED, a tmpfs cannot be mounted here: {error:#}");
                Ok(None)
            }
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes until nothing more fits; returns the bytes that were free before.
    pub fn fill(&self) -> Result<u64> {
        let mut filler = File::create(self.filler()).context("the file that fills the disk")?;
        let mut written = 0;
        for block in [4096, 1] {
            loop {
                match filler.write(&[0; 4096][..block]) {
                    Ok(bytes) => written += bytes as u64,
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("filling the disk"),
                }
            }
        }
        Ok(written)
    }

    /// Gives back what `fill` took.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("removing the file that fills the disk")
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|mount| mount.split(' ').nth(1).map(Path::new) == Some(path))
}
