//! Files that must survive a power cut: identities, secrets, numbers. Written whole or not at
//! all. What is appended to (an outbox) is not for this room.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

const ROOT: u32 = 0;

/// Replaces `path` with `bytes`: a temporary file beside it (`.<name>.new`) gets the bytes and
/// the `mode`, is synced and renamed over it, and the directory is synced. After a crash the
/// file holds either the old content or the new, never a part. One writer per path at a time.
/// What root writes belongs to the directory's owner, so that a service can read what was written
/// for it.
///
/// # Errors
/// Whatever the file system says; the text names the path.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display())))
}

/// The content of `path`, or `None` when there is no such file.
///
/// # Errors
/// Whatever else the file system says; the text names the path.
pub fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))),
    }
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path)?;
    let written = fill(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // What is left of a failed attempt may hold a secret; the error that counts is the first.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory(path))?.sync_all()
}

fn fill(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The mode of `open` counts for a new file only, and is cut by the umask.
    file.set_permissions(Permissions::from_mode(mode))?;
    let (owner, place) = (file.metadata()?.uid(), fs::metadata(directory(path))?);
    if owner == ROOT && place.uid() != ROOT {
        fchown(&file, Some(place.uid()), Some(place.gid()))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    Ok(path.with_file_name(temporary))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    // RR3
    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_beside_it() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("secrets");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        // What a crash in the middle of an earlier attempt leaves behind.
        fs::write(room.path().join(".secrets.new"), "half of something long").unwrap();

        write_atomic(&path, b"new", 0o600).unwrap();

        assert_eq!(read_if_there(&path).unwrap().unwrap(), b"new");
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
    }

    // RR3
    #[test]
    fn what_root_writes_belongs_to_whom_the_directory_belongs() {
        let room = tempfile::tempdir().unwrap();
        let service = room.path().join("service");
        fs::create_dir(&service).unwrap();
        let someone = 65_532;
        if fs::metadata(&service).unwrap().uid() == ROOT {
            std::os::unix::fs::chown(&service, Some(someone), Some(someone)).unwrap();
        }
        let path = service.join("secrets");
        for bytes in [b"one", b"two"] {
            write_atomic(&path, bytes, 0o600).unwrap();
            let (file, place) = (fs::metadata(&path).unwrap(), fs::metadata(&service).unwrap());
            assert_eq!((file.uid(), file.gid()), (place.uid(), place.gid()));
        }
        assert_eq!(mode_of(&path), 0o600);
    }

    #[test]
    fn a_failed_write_names_the_path_and_keeps_the_old_content() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("taken");
        fs::create_dir(&path).unwrap();

        let error = write_atomic(&path, b"new", 0o600).unwrap_err();

        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_is_not_an_error() {
        let room = tempfile::tempdir().unwrap();
        assert_eq!(read_if_there(&room.path().join("none")).unwrap(), None);
        assert!(read_if_there(room.path()).is_err());
    }
}
