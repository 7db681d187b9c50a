//! The keys of our own, with which commands and releases are signed: each a file that is made when it is first needed.

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use radar_link::files::{read_if_there, write_atomic};
use radar_link::jws::{KeyError, SigningKey};

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Commands,
    Releases,
}

impl Purpose {
    /// How agents are given the public part of a new one.
    fn handing_over(self) -> &'static str {
        match self {
            Self::Commands => "radar-bridge key",
            Self::Releases => "AGENT_RELEASE_KEY",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commands => "commands",
            Self::Releases => "releases",
        })
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("cannot use the key for {purpose}, {}", path.display())]
    Access {
        purpose: Purpose,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{} cannot be used; put the right one back, or move it away and give every agent the new key ({})",
        path.display(),
        purpose.handing_over()
    )]
    Damaged {
        purpose: Purpose,
        path: PathBuf,
        #[source]
        source: KeyError,
    },
    #[error("cannot make a key for {purpose}")]
    Make {
        purpose: Purpose,
        #[source]
        source: KeyError,
    },
}

/// The key for commands of a data directory.
pub(crate) fn take(data_dir: &Path) -> Result<SigningKey, KeyFileError> {
    take_from(&data_dir.join("command.key"), Purpose::Commands)
}

/// The key in a file, which is made if there is none; the same for all who ask at once.
pub(crate) fn take_from(path: &Path, purpose: Purpose) -> Result<SigningKey, KeyFileError> {
    let failed = |source| KeyFileError::Access { purpose, path: path.to_owned(), source };
    let read = || match read_if_there(path).map_err(failed)? {
        Some(bytes) => SigningKey::from_pkcs8(&bytes).map(Some).map_err(|source| KeyFileError::Damaged {
            purpose,
            path: path.to_owned(),
            source,
        }),
        None => Ok(None),
    };
    if let Some(key) = read()? {
        return Ok(key);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    // One makes it, beside a bridge that runs or not; the lock goes with the open directory.
    let directory = File::open(directory).map_err(failed)?;
    directory.lock().map_err(failed)?;
    if let Some(key) = read()? {
        return Ok(key);
    }
    let key = SigningKey::generate().map_err(|source| KeyFileError::Make { purpose, source })?;
    write_atomic(path, key.to_pkcs8(), 0o600).map_err(failed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    // E6
    #[test]
    fn it_is_made_once_and_for_nobody_else() {
        let room = tempfile::tempdir().unwrap();
        let data_dir = room.path().join("deep/data");
        let key = take(&data_dir).unwrap();
        assert_eq!(take(&data_dir).unwrap().public(), key.public());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data_dir), mode(&data_dir.join("command.key"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1);
    }

    // E6
    #[test]
    fn all_who_ask_at_once_get_the_same() {
        let room = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| take(room.path()).unwrap().public())).collect();
            asked.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[test]
    fn a_damaged_one_is_named_and_left_alone() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("command.key");
        fs::write(&path, "half of it").unwrap();
        let error = take(room.path()).unwrap_err().to_string();
        assert!(error.contains("command.key cannot be used; put the right one back"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"half of it");
        let below_a_file = take(&path).unwrap_err();
        assert!(matches!(below_a_file, KeyFileError::Access { .. }), "{below_a_file:?}");
    }
}
