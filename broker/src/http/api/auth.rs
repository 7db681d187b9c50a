//! Who asks: the key that a request shows, against the file of the keys, which is read anew when it has changed.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::Api;
use super::problem::Problem;
use crate::api_keys::{ApiKeys, Scope};

/// The largest file that is read.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Who asks, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) name: Box<str>,
    pub(super) scope: Scope,
}

/// A key that is shown, on its way to who knows the right ones.
#[derive(Debug)]
pub(super) struct Shown {
    key: String,
    answer: oneshot::Sender<Option<Caller>>,
}

/// Lets nobody through without a key, whatever the path.
pub(super) async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let key = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    let caller = match key {
        Some(key) => {
            let (answer, answered) = oneshot::channel();
            // A keeper that is gone gives no answer.
            let _ = api.keys.send(Shown { key: key.to_owned(), answer }).await;
            answered.await.ok().flatten()
        }
        None => None,
    };
    match caller {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => {
            let detail = "show a valid key: Authorization: Bearer radar_… (radar-bridge api-key create makes one)";
            Problem::new(401, "unauthorized", detail).into_response()
        }
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// What tells one state of the file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Missing,
    There { inode: u64, size: u64, changed: (i64, i64), mode: u32 },
    Failed(String),
}

/// The keys in force.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    seen: Look,
    keys: ApiKeys,
}

impl Keeper {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: Look::Missing, keys: ApiKeys::default() }
    }

    /// Answers until nobody asks.
    pub(super) async fn run(mut self, mut shown: mpsc::Receiver<Shown>) {
        while let Some(Shown { key, answer }) = shown.recv().await {
            // Who has gone needs no answer.
            let _ = answer.send(self.check(&key));
        }
    }

    fn check(&mut self, key: &str) -> Option<Caller> {
        self.look();
        self.keys.check(key).map(|key| Caller { name: key.name.clone(), scope: key.scope })
    }

    /// Reads the file if it has changed. One that cannot be used leaves the last good keys in force, and is said once;
    /// one that was taken away takes the keys with it.
    fn look(&mut self) {
        let (look, keys) = read(&self.path, &self.seen);
        if look == self.seen {
            return;
        }
        let path = self.path.display();
        match keys {
            Ok(keys) => {
                info!("keys of the HTTP API: {}, of {path}", keys.keys.len());
                self.keys = keys;
            }
            Err(why) => warn!("{path} cannot be used, the keys of before stay in force: {why}"),
        }
        self.seen = look;
    }
}

/// The file's state, and what is in it unless it is as it was.
fn read(path: &Path, seen: &Look) -> (Look, Result<ApiKeys, String>) {
    let failed = |error: io::Error| (Look::Failed(error.to_string()), Err(error.to_string()));
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Look::Missing, Ok(ApiKeys::default())),
        Err(error) => return failed(error),
    };
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return failed(error),
    };
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    let look = Look::There { inode: metadata.ino(), size: metadata.len(), changed, mode: metadata.mode() };
    if look == *seen {
        return (look, Ok(ApiKeys::default()));
    }
    if metadata.mode() & 0o077 != 0 {
        return (look, Err("others can read it; chmod 600 it".to_owned()));
    }
    let mut bytes = Vec::new();
    let read = file.by_ref().take(LARGEST).read_to_end(&mut bytes).map_err(|error| error.to_string());
    (look, read.and_then(|_| ApiKeys::parse(&bytes).map_err(|error| error.to_string())))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use radar_link::files::write_atomic;

    use super::*;

    fn keys(names: &[&str]) -> (ApiKeys, Vec<String>) {
        let mut keys = ApiKeys::default();
        let made = names.iter().zip(1..).map(|(name, id)| {
            keys.create(name, Scope::Read, (id, [u8::try_from(name.len()).unwrap(); 32]), 0)
                .unwrap()
                .expose()
                .to_owned()
        });
        let made = made.collect();
        (keys, made)
    }

    // PS2
    #[test]
    fn keys_are_exchanged_with_the_file_and_a_broken_one_changes_nothing() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("api-keys.json");
        let mut keeper = Keeper::new(&path);
        let (first, old) = keys(&["Ann"]);
        let (second, new) = keys(&["Barbara"]);
        assert_eq!(keeper.check(&old[0]), None);
        write_atomic(&path, first.to_json().as_bytes(), 0o600).unwrap();
        assert_eq!(keeper.check(&old[0]), Some(Caller { name: "Ann".into(), scope: Scope::Read }));

        let broken: [(&str, u32); 3] = [("half of it", 0o600), ("", 0o600), (&second.to_json(), 0o644)];
        for (text, mode) in broken {
            write_atomic(&path, text.as_bytes(), mode).unwrap();
            assert!(keeper.check(&old[0]).is_some() && keeper.check(&new[0]).is_none(), "{text} {mode:o}");
        }
        // The last of them was only open to too many.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(keeper.check(&old[0]).is_none() && keeper.check(&new[0]).is_some());
        fs::remove_file(&path).unwrap();
        assert_eq!(keeper.check(&new[0]), None);
        fs::create_dir(&path).unwrap();
        assert_eq!(keeper.check(&new[0]), None);
    }

    // PS2
    #[test]
    fn a_key_comes_as_a_bearer_token() {
        for (value, key) in [
            ("Bearer radar_x", Some("radar_x")),
            ("bearer  radar_x ", Some("radar_x")),
            ("Basic radar_x", None),
            ("radar_x", None),
            ("", None),
        ] {
            assert_eq!(bearer(value), key, "{value}");
        }
    }
}
