//! Signs a release of the agent, for hosts that run it as a program: what `radar self-update` is to be given, and which key
//! the hosts need to take it.

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use radar_link::jws::{Digest, Hasher, sign_digest};
use serde_json::json;

use crate::key::{Purpose, take_from};

/// How much of a program is read at once.
const PIECE: usize = 64 * 1024;

/// What is typed.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The new program
    program: PathBuf,
    /// The file of the key for releases, which is made if there is none [default: release.key in DATA_DIR]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Signs it; says to `err` when it had to make a key, which no host knows yet.
pub(super) fn show(
    data_dir: &Path,
    arguments: &Arguments,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<()> {
    let Arguments { program, key, json } = arguments;
    let path = key.clone().unwrap_or_else(|| data_dir.join("release.key"));
    let digest = digest(program).with_context(|| format!("cannot read {}", program.display()))?;
    let is_new = !path.exists();
    let key = take_from(&path, Purpose::Releases)?;
    if is_new {
        writeln!(err, "made a new key for releases: {}; keep a copy of it, and keep it to yourself", path.display())?;
    }
    let (signature, public) = (sign_digest(&key, &digest)?, key.public());
    let sha256 = digest.to_string();
    if *json {
        writeln!(out, "{}", json!({ "sha256": sha256, "signature": signature, "key": public.to_string() }))?;
    } else {
        writeln!(
            out,
            "radar self-update AGENT --program URL \\\n  --sha256 {sha256} \\\n  --signature {signature}\n\n\
             Hosts take it that have this among their settings:\nAGENT_RELEASE_KEY={public}"
        )?;
    }
    Ok(())
}

fn digest(program: &Path) -> std::io::Result<Digest> {
    let (mut file, mut hasher, mut piece) = (File::open(program)?, Hasher::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&piece[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use radar_link::jws::{PublicKey, is_signed};
    use serde_json::Value;

    use super::*;

    fn sign(data_dir: &Path, program: &Path, key: Option<&Path>, json: bool) -> anyhow::Result<(String, String)> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let arguments = Arguments { program: program.to_owned(), key: key.map(Path::to_owned), json };
        show(data_dir, &arguments, &mut out, &mut err)?;
        Ok((String::from_utf8(out)?, String::from_utf8(err)?))
    }

    // DM13
    #[test]
    fn a_release_is_signed_by_one_key_that_is_made_once_and_for_nobody_else() {
        let room = tempfile::tempdir().unwrap();
        let (program, data_dir) = (room.path().join("radar-agent"), room.path().join("data"));
        let body = "x".repeat(2 * PIECE + 1);
        fs::write(&program, &body).unwrap();
        let (first, note) = sign(&data_dir, &program, None, true).unwrap();
        let path = data_dir.join("release.key");
        assert!(note.contains(path.to_str().unwrap()), "{note}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let said: Value = serde_json::from_str(&first).unwrap();
        let text = |name: &str| said[name].as_str().unwrap();
        let mut hasher = Hasher::new();
        hasher.update(body.as_bytes());
        let (key, digest): (PublicKey, Digest) = (text("key").parse().unwrap(), text("sha256").parse().unwrap());
        assert_eq!(digest, hasher.finish());
        assert!(is_signed(&[key], &digest, text("signature")));
        // Ed25519 signs the same the same way.
        assert_eq!(sign(&data_dir, &program, None, true).unwrap(), (first.clone(), String::new()));
        assert_eq!(sign(room.path(), &program, Some(&path), true).unwrap().0, first);
    }

    // DM13
    #[test]
    fn what_is_printed_is_what_is_to_be_typed() {
        let room = tempfile::tempdir().unwrap();
        let program = room.path().join("radar-agent");
        fs::write(&program, "a program").unwrap();
        let (said, _) = sign(room.path(), &program, None, false).unwrap();
        let said = said.replace("\\\n", "");
        let words: Vec<_> = said.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(words[..5], ["radar", "self-update", "AGENT", "--program", "URL"]);
        assert_eq!((words[5], words[6].len(), words[7], words.len()), ("--sha256", 64, "--signature", 9));
        let key = said.lines().last().unwrap().strip_prefix("AGENT_RELEASE_KEY=").unwrap();
        assert!(key.parse::<PublicKey>().is_ok(), "{key}");
    }

    // DM13
    #[test]
    fn without_a_program_no_key_is_made() {
        let room = tempfile::tempdir().unwrap();
        for program in ["none", "."] {
            let error = sign(room.path(), &room.path().join(program), None, false).unwrap_err();
            assert!(error.to_string().starts_with("cannot read "), "{error}");
        }
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
    }
}
