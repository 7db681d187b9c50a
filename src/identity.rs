//! Who this agent is: an id that is made once and kept, and the marks of the machine beneath it,
//! so that a cloned card is noticed. The id of an agent never changes by itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use radar_link::files::{read_if_there, write_atomic};
use radar_wire::topic::AgentId;

/// The most bytes of a host's name in an id.
const NAME: usize = 40;

/// Who this agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: AgentId,
    /// The id was kept, and the machine is another one than it was kept on.
    pub moved: bool,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of the data directory cannot be read or written.
    #[error("{0}")]
    File(#[source] io::Error),
    /// The kept id is no id.
    #[error("{} holds no agent id: write one into it, remove it, or set AGENT_ID", .0.display())]
    Kept(PathBuf),
    /// No random numbers for a new id.
    #[error("no random numbers for a new id: {0}; set AGENT_ID")]
    Random(#[source] getrandom::Error),
}

/// The marks of a machine that stay when its disk is put elsewhere, hashed: `kind hash`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine(BTreeSet<String>);

impl Machine {
    /// Reads the marks below `root` (`/`, unless in a test): the board's serial number, the
    /// firmware's machine id, and the addresses that network adapters were made with.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let file = |path: &str| fs::read_to_string(root.join(path)).ok();
        let serial =
            file("proc/device-tree/serial-number").or_else(|| file("sys/firmware/devicetree/base/serial-number"));
        let marks = [("board", serial), ("firmware", file("sys/class/dmi/id/product_uuid"))];
        let marks = marks.into_iter().filter_map(|(kind, text)| mark(kind, &text?));
        Self(marks.chain(adapters(&root.join("sys/class/net"))).collect())
    }

    /// One text for the machine; none when it has no marks.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        self.0.first()?.split_once(' ').map(|(_, hash)| hash)
    }

    /// Whether both can be one machine: they share a mark, or have no kind of mark in common. A
    /// container or an unprivileged agent sees fewer marks of the same machine.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let kinds = |machine: &Self| -> BTreeSet<String> {
            machine.0.iter().filter_map(|mark| mark.split_once(' ')).map(|(kind, _)| kind.to_owned()).collect()
        };
        !self.0.is_disjoint(&other.0) || kinds(self).is_disjoint(&kinds(other))
    }

    fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| line.contains(' ')).map(str::to_owned).collect())
    }
}

/// Adapters of hardware, with an address of their own.
fn adapters(net: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(net) else { return Vec::new() };
    let addresses = entries.flatten().map(|entry| entry.path()).filter_map(|adapter| {
        let own = fs::read_to_string(adapter.join("addr_assign_type")).is_ok_and(|kind| kind.trim() == "0");
        let hardware = own && adapter.join("device").exists();
        fs::read_to_string(adapter.join("address")).ok().filter(|_| hardware)
    });
    addresses.filter_map(|address| mark("network", &address)).collect()
}

fn mark(kind: &str, text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_ascii_lowercase();
    // What firmware says when nobody has filled it in.
    let empty = text.chars().all(|c| matches!(c, '0' | 'f' | '-' | ':' | ' '));
    (!empty).then(|| format!("{kind} {:032x}", hash(text.as_bytes())))
}

/// FNV-1a of 128 bits: the same on every machine and in every release.
fn hash(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// Settles who this agent is: the `given` id, or the one kept in `directory`, or a new one from
/// the `host`'s name, which is kept.
///
/// # Errors
/// Files that cannot be read or written, or hold no id.
pub fn settle(
    given: Option<&AgentId>,
    directory: Option<&Path>,
    host: &str,
    machine: &Machine,
) -> Result<Identity, IdentityError> {
    let Some(directory) = directory else {
        // Nothing can be kept, so the id comes from what stays.
        let suffix = machine.fingerprint().map(|hash| hash.chars().take(6).collect());
        let id = given.cloned().map_or_else(|| make(host, suffix), Ok)?;
        return Ok(Identity { id, moved: false });
    };
    let (id_file, machine_file) = (directory.join("id"), directory.join("machine"));
    let kept = read_text(&id_file)?;
    let kept = match kept.as_deref().map(str::trim) {
        Some(text) => match text.parse::<AgentId>() {
            Ok(id) => Some(id),
            Err(_) if given.is_some() => None,
            Err(_) => return Err(IdentityError::Kept(id_file)),
        },
        None => None,
    };
    let id = match given.or(kept.as_ref()) {
        Some(id) => id.clone(),
        None => make(host, None)?,
    };
    let marks = read_text(&machine_file)?.map(|text| Machine::parse(&text));
    let same_id = kept.as_ref() == Some(&id);
    let moved = same_id && marks.as_ref().is_some_and(|marks| !marks.may_be(machine));
    if !same_id {
        write_atomic(&id_file, format!("{id}\n").as_bytes(), 0o644).map_err(IdentityError::File)?;
    }
    if !moved && (!same_id || marks.is_none_or(|marks| marks.0.is_disjoint(&machine.0))) {
        let lines: String = machine.0.iter().map(|mark| format!("{mark}\n")).collect();
        write_atomic(&machine_file, lines.as_bytes(), 0o644).map_err(IdentityError::File)?;
    }
    Ok(Identity { id, moved })
}

fn read_text(path: &Path) -> Result<Option<String>, IdentityError> {
    let bytes = read_if_there(path).map_err(IdentityError::File)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn make(host: &str, suffix: Option<String>) -> Result<AgentId, IdentityError> {
    let valid = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = host.split('.').next().unwrap_or_default().chars().take(NAME).map(valid).collect();
    let name = Some(name.trim_matches('-')).filter(|name| !name.is_empty()).unwrap_or("host");
    let suffix = match suffix {
        Some(suffix) => suffix,
        None => format!("{:06x}", getrandom::u32().map_err(IdentityError::Random)? & 0x00ff_ffff),
    };
    // At most 47 of the characters that an id may have.
    format!("{name}-{suffix}").parse().map_err(|_| IdentityError::Kept(PathBuf::from("id")))
}

#[cfg(test)]
mod tests;
