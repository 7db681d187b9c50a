//! The keys of the HTTP API: made once, listed without what they hold, taken back. A bridge that runs sees each change
//! by itself.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;
use radar_link::files::{read_if_there, write_atomic};
use radar_link::time::utc;
use serde_json::json;

use super::text::{columns, plain};
use crate::api_keys::{ApiKeys, Scope};
use crate::settings::api_keys;

/// What is typed.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Make a key and print it, once
    Create {
        /// Whose it is, for the audit
        #[arg(long)]
        name: String,
        /// What its holder may do
        #[arg(long, value_enum, default_value = "read")]
        scope: Scope,
    },
    /// Show the keys that there are, without what they hold
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Take a key back
    Revoke {
        /// The key's id, as `list` shows it
        id: String,
    },
}

/// Does it with the keys of a data directory.
pub(super) fn perform(data_dir: &Path, action: &Action, now: i64, out: &mut impl Write) -> anyhow::Result<()> {
    match action {
        Action::Create { name, scope } => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).context("the system gives no random bytes")?;
            let id = getrandom::u32().context("the system gives no random bytes")?;
            let key = change(data_dir, |keys| Ok(keys.create(name, *scope, (id, secret), now)?))?;
            writeln!(out, "{}", key.expose())
                .and_then(|()| out.flush())
                .with_context(|| format!("nobody was told the key {id:08x} of {}: revoke it", plain(name)))?;
        }
        Action::Revoke { id } => {
            let key = change(data_dir, |keys| Ok(keys.revoke(id)?))?;
            writeln!(out, "{} of {} is no key any more", key.id, plain(&key.name))?;
        }
        Action::List { json } => {
            let keys = read(data_dir)?.keys;
            if *json {
                for key in keys {
                    let (id, name, scope, created) = (key.id, key.name, key.scope, key.created);
                    writeln!(out, "{}", json!({ "id": id, "name": name, "scope": scope, "created": created }))?;
                }
            } else if keys.is_empty() {
                writeln!(out, "There is no key; make one with `radar-bridge api-key create --name NAME`.")?;
            } else {
                let row = |key: &crate::api_keys::ApiKey| {
                    [key.id.to_string(), plain(&key.name), key.scope.to_string(), utc::text(key.created)]
                };
                let rows: Vec<_> = keys.iter().map(row).collect();
                write!(out, "{}", columns(["ID", "NAME", "SCOPE", "CREATED"], &rows))?;
            }
        }
    }
    Ok(())
}

fn read(data_dir: &Path) -> anyhow::Result<ApiKeys> {
    let path = api_keys(data_dir);
    match read_if_there(&path)? {
        Some(bytes) => ApiKeys::parse(&bytes).with_context(|| format!("{} cannot be used", path.display())),
        None => Ok(ApiKeys::default()),
    }
}

fn change<T>(data_dir: &Path, change: impl FnOnce(&mut ApiKeys) -> anyhow::Result<T>) -> anyhow::Result<T> {
    if !data_dir.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
        made.with_context(|| format!("cannot make {} (DATA_DIR)", data_dir.display()))?;
    }
    // One changes it at a time; the lock goes with the open directory.
    let directory = File::open(data_dir).with_context(|| format!("cannot use {} (DATA_DIR)", data_dir.display()))?;
    directory.lock().with_context(|| format!("cannot use {} (DATA_DIR)", data_dir.display()))?;
    let mut keys = read(data_dir)?;
    let changed = change(&mut keys)?;
    write_atomic(&api_keys(data_dir), keys.to_json().as_bytes(), 0o600)?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn run(data_dir: &Path, action: Action) -> anyhow::Result<String> {
        let mut out = Vec::new();
        perform(data_dir, &action, 1_795_228_544_250, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    fn create(name: &str, scope: Scope) -> Action {
        Action::Create { name: name.to_owned(), scope }
    }

    // PS2
    #[test]
    fn a_key_is_printed_once_and_kept_for_nobody_else() {
        let room = tempfile::tempdir().unwrap();
        let data_dir = room.path().join("deep/data");
        assert!(run(&data_dir, Action::List { json: false }).unwrap().contains("There is no key"));
        let key = run(&data_dir, create("Ann", Scope::Operate)).unwrap();
        let key = key.strip_suffix('\n').unwrap();
        assert!(key.starts_with("radar_") && key.len() == 58, "{key}");
        assert_ne!(run(&data_dir, create("Ann", Scope::Read)).unwrap(), key);
        let path = data_dir.join("api-keys.json");
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((mode, text.contains(&key[15..])), (0o600, false));
        assert_eq!(read(&data_dir).unwrap().check(key).map(|key| key.scope), Some(Scope::Operate));
        let list = run(&data_dir, Action::List { json: false }).unwrap();
        assert!(list.contains("operate") && list.contains("2026-11-21") && !list.contains(&key[15..]), "{list}");
        let json = run(&data_dir, Action::List { json: true }).unwrap();
        assert!(json.lines().count() == 2 && !json.contains("sha256"), "{json}");
    }

    // PS2
    #[test]
    fn a_key_that_is_taken_back_is_gone_and_a_file_that_is_broken_stays() {
        let room = tempfile::tempdir().unwrap();
        let key = run(room.path(), create("Ann", Scope::Read)).unwrap();
        let id = key.split('_').nth(1).unwrap().to_owned();
        assert!(run(room.path(), Action::Revoke { id: id.clone() }).unwrap().contains("of Ann"));
        assert!(run(room.path(), Action::Revoke { id }).unwrap_err().to_string().contains("there is no key"));
        let path = room.path().join("api-keys.json");
        fs::write(&path, "half of it").unwrap();
        let error = format!("{:#}", run(room.path(), create("Bob", Scope::Read)).unwrap_err());
        assert!(error.contains("api-keys.json cannot be used"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"half of it");
    }
}
