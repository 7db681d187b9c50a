//! What the mounts of this program tell: the container that it runs in, and which directories outlive that.

use std::fs;
use std::path::{Path, PathBuf};

/// The mounts as `/proc/self/mountinfo` has them, see proc(5).
#[derive(Debug, Clone, Default)]
pub struct Mounts(Vec<Mount>);

#[derive(Debug, Clone)]
struct Mount {
    /// The part of the file system that is mounted.
    source: String,
    point: PathBuf,
    kind: String,
}

impl Mounts {
    /// Reads them below `root` (`/`, unless in a test); there are none where that cannot be.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let text = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
        Self(text.lines().filter_map(mount).collect())
    }

    /// The container: its id, read off the mounts that the engine makes for it; none outside of a container.
    #[must_use]
    pub fn own_container(&self) -> Option<Box<str>> {
        // Docker mounts `…/containers/<id>/hostname`, Podman `…/overlay-containers/<id>/userdata/hostname`.
        let hostname = self.0.iter().find(|mount| mount.point == Path::new("/etc/hostname"))?;
        let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The last one: an engine that itself runs in a container keeps its own below another's id.
        hostname.source.rsplit('/').find(is_id).map(Into::into)
    }

    /// Whether what is in a directory (an absolute path without links) is there when another container has the same
    /// mounts: it is not on the container's own file system, nor on one in memory that the container was given.
    #[must_use]
    pub fn outlive(&self, directory: &Path) -> bool {
        let above = self.0.iter().filter(|mount| directory.starts_with(&mount.point));
        // Of two at one place the later one covers the other.
        let nearest = above.max_by_key(|mount| mount.point.components().count());
        nearest.is_some_and(|mount| mount.point != Path::new("/") && !(mount.kind == "tmpfs" && mount.source == "/"))
    }
}

fn mount(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (source, point) = (fields.next()?.to_owned(), unescaped(fields.next()?).into());
    Some(Mount { source, point, kind: file_system.split(' ').next()?.to_owned() })
}

/// Blanks and their like are written as octal numbers.
fn unescaped(path: &str) -> String {
    [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")]
        .iter()
        .fold(path.to_owned(), |path, (code, character)| path.replace(code, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Mounts {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("proc/self/mountinfo");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, lines.join("\n")).unwrap();
        Mounts::read(room.path())
    }

    // DM20
    #[test]
    fn the_own_container_is_read_off_the_mounts() {
        assert_eq!(Mounts::read(Path::new("/nowhere")).own_container(), None);
        let id = "4f".repeat(32);
        for (source, found) in [
            (format!("/var/lib/docker/containers/{id}/hostname"), true),
            (format!("/containers/storage/overlay-containers/{id}/userdata/hostname"), true),
            (format!("/var/lib/docker/volumes/{}/_data/containers/{id}/hostname", "0a".repeat(32)), true),
            ("/etc/hostname".to_owned(), false),
        ] {
            let mounts = read(&[&format!("612 606 8:1 {source} /etc/hostname rw - ext4 /dev/sda rw")]);
            assert_eq!(mounts.own_container().as_deref(), found.then_some(&*id), "{source}");
        }
        assert_eq!(read(&["", "612", "612 606 8:1 / /etc/hostname"]).own_container(), None);
    }

    // DM13
    #[test]
    fn what_is_on_a_mount_outlives_the_container() {
        let mounts = read(&[
            // As Podman has it with the storage driver vfs: all on one device.
            "600 500 8:1 /podman/vfs/dir/4f4f / rw,relatime - ext4 /dev/sda1 rw",
            "601 600 0:44 / /dev rw - tmpfs tmpfs rw",
            "602 600 8:1 /home/me/radar /data rw,relatime shared:1 - ext4 /dev/sda1 rw",
            r"603 600 8:1 /spaces /with\040blank rw - ext4 /dev/sda1 rw",
            "604 600 0:50 / /memory rw - tmpfs tmpfs rw",
            "605 600 0:51 /radar /hosts-memory rw - tmpfs tmpfs rw",
            "606 600 8:1 /below /data/below rw - ext4 /dev/sda1 rw",
            "607 606 0:52 / /data/below/memory rw - tmpfs tmpfs rw",
        ]);
        for (directory, outlives) in [
            ("/data", true),
            ("/data/agent", true),
            ("/data/below/x", true),
            ("/data/below/memory/x", false),
            ("/database", false),
            ("/with blank/x", true),
            ("/memory", false),
            ("/hosts-memory", true),
            ("/var/lib/radar-agent", false),
        ] {
            assert_eq!(mounts.outlive(Path::new(directory)), outlives, "{directory}");
        }
        assert!(!read(&[]).outlive(Path::new("/data")));
    }
}
