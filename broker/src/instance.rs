//! One bridge per data directory: the one that runs holds a lock, by which others know that it does.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Somebody who only looks holds the lock for a moment.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// Why a bridge may not run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstanceError {
    #[error("another bridge runs with {} (DATA_DIR): stop it, or give this one its own directory", data_dir.display())]
    Taken { data_dir: PathBuf },
    #[error("cannot use {} (DATA_DIR); make it writable for this user, or name another directory", data_dir.display())]
    Access {
        data_dir: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The right to work with a data directory, until it is dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    _lock: File,
}

impl Instance {
    /// Takes the directory, and makes it when there is none. Blocks for a moment at most.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, InstanceError> {
        let failed = |source| InstanceError::Access { data_dir: data_dir.to_owned(), source };
        if !data_dir.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
        }
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).clone();
        let lock = options.open(path(data_dir)).map_err(failed)?;
        for _ in 0..ATTEMPTS {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { _lock: lock }),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(InstanceError::Taken { data_dir: data_dir.to_owned() })
    }
}

/// Whether a bridge runs with this directory; unknown when its lock cannot be looked at.
pub(crate) fn is_running(data_dir: &Path) -> Option<bool> {
    match File::open(path(data_dir)) {
        Ok(lock) => match lock.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_bridge_and_others_see_it() {
        let room = tempfile::tempdir().unwrap();
        let data_dir = room.path().join("deep/data");
        assert_eq!(is_running(&data_dir), Some(false));
        let instance = Instance::take(&data_dir).unwrap();
        assert_eq!(is_running(&data_dir), Some(true));
        let error = Instance::take(&data_dir).unwrap_err().to_string();
        assert!(error.contains("DATA_DIR") && error.contains("stop it"), "{error}");
        drop(instance);
        assert_eq!(is_running(&data_dir), Some(false));
        Instance::take(&data_dir).unwrap();
    }
}
