//! What agents need to take commands of this bridge: the public part of its key.

use std::io::Write;
use std::path::Path;

use crate::key;

/// Prints the public key as one line; makes the key if there is none, beside a bridge that runs or not.
pub(super) fn show(data_dir: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{}", key::take(data_dir)?.public())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use radar_link::jws::PublicKey;

    use super::*;
    use crate::instance::Instance;

    // E6
    #[test]
    fn it_is_one_line_and_the_same_every_time_beside_a_bridge_that_runs() {
        let room = tempfile::tempdir().unwrap();
        let printed = || {
            let mut out = Vec::new();
            show(room.path(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let first = printed();
        let _runs = Instance::take(room.path()).unwrap();
        assert_eq!(printed(), first);
        let key: PublicKey = first.strip_suffix('\n').unwrap().parse().unwrap();
        assert_eq!(first, format!("{key}\n"));
    }
}
