//! The keys of the HTTP API: how they look, how they are kept, and whether one that is shown is among them. Nothing is
//! read or written here, and no key itself is kept: of each there is only a hash, which is compared in constant time.

use std::fmt;

use radar_link::jws::base64url;
use radar_link::secret::Secret;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// What every key begins with.
const KIND: &str = "radar_";
/// Characters of the secret: 32 bytes in base64url.
const SECRET: usize = 43;
/// Characters of a name.
const NAME: usize = 64;

/// What a key's holder may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look.
    Read,
    /// Start and stop what is there, pull and update.
    Operate,
    /// Everything.
    Admin,
}

impl Scope {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// 8 hexadecimal digits, the part of the key that is no secret.
    pub id: Box<str>,
    /// Whose it is.
    pub name: Box<str>,
    /// What it is for.
    pub scope: Scope,
    /// The SHA-256 of the whole key, in hexadecimal digits.
    pub sha256: Box<str>,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created: i64,
}

/// All keys, as they are in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeys {
    /// In the order in which they were made.
    pub keys: Vec<ApiKey>,
}

/// Why there is no such key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// The name is none.
    #[error("a name has 1 to {NAME} characters, none of them a control character")]
    Name,
    /// The id is not among them.
    #[error("there is no key {0}; `radar-bridge api-key list` shows those that are")]
    Unknown(String),
    /// The file is something else.
    #[error("it does not hold keys: {0}")]
    Content(String),
}

impl ApiKeys {
    /// Reads the file's content.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiKeyError> {
        let keys: Self = serde_json::from_slice(bytes).map_err(|error| ApiKeyError::Content(error.to_string()))?;
        let hexadecimal = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
        match keys.keys.iter().find(|key| !hexadecimal(&key.id, 8) || !hexadecimal(&key.sha256, 64)) {
            Some(key) => Err(ApiKeyError::Content(format!("the id or the hash of {:?} is none", key.name))),
            None => Ok(keys),
        }
    }

    /// The file's content.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A list of texts always has a form.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// Adds a key made of random bytes; the key itself, which is nowhere else.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn create(
        &mut self,
        name: &str,
        scope: Scope,
        (id, secret): (u32, [u8; 32]),
        created: i64,
    ) -> Result<Secret, ApiKeyError> {
        if !(1..=NAME).contains(&name.chars().count()) || name.contains(char::is_control) {
            return Err(ApiKeyError::Name);
        }
        let id = format!("{id:08x}");
        let key = format!("{KIND}{id}_{}", base64url(&secret));
        let sha256 = hash(&key).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        self.keys.push(ApiKey { id: id.into(), name: name.into(), scope, sha256, created });
        Ok(Secret::new(key))
    }

    /// Takes a key out; the key as it was.
    ///
    /// # Errors
    /// There is none of this id.
    pub fn revoke(&mut self, id: &str) -> Result<ApiKey, ApiKeyError> {
        let at = self.keys.iter().position(|key| &*key.id == id);
        at.map(|at| self.keys.remove(at)).ok_or_else(|| ApiKeyError::Unknown(id.chars().take(80).collect()))
    }

    /// The key that is shown, if it is one of these. All are compared, each in constant time.
    #[must_use]
    pub fn check(&self, shown: &str) -> Option<&ApiKey> {
        let form = shown.strip_prefix(KIND).and_then(|rest| rest.split_at_checked(8));
        let fits = form.is_some_and(|(_, secret)| secret.len() == SECRET + 1 && secret.starts_with('_'));
        let shown = hash(shown);
        let mut found = u64::MAX;
        for (at, key) in (0..).zip(&self.keys) {
            let same: Choice = unhex(&key.sha256).ct_eq(&shown);
            found.conditional_assign(&at, same);
        }
        self.keys.get(usize::try_from(found).ok()?).filter(|_| fits)
    }
}

fn hash(text: &str) -> [u8; 32] {
    digest(&SHA256, text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Of a text that was checked when it was read; zeros, which nothing hashes to, for another.
fn unhex(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        let Some(Ok(value)) = text.get(at..at + 2).map(|pair| u8::from_str_radix(pair, 16)) else { return [0; 32] };
        *byte = value;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> (ApiKeys, Secret, Secret) {
        let mut keys = ApiKeys::default();
        let ann = keys.create("Ann", Scope::Read, (0x00c0_ffee, [7; 32]), 5).unwrap();
        let bob = keys.create("Bob", Scope::Admin, (1, [8; 32]), 6).unwrap();
        (keys, ann, bob)
    }

    // PS2
    #[test]
    fn a_key_is_told_once_and_kept_as_a_hash() {
        let (keys, ann, _) = keys();
        assert_eq!(ann.expose(), "radar_00c0ffee_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
        let text = keys.to_json();
        assert!(!text.contains("BwcHBw") && text.contains("\"scope\": \"admin\""), "{text}");
        assert_eq!(ApiKeys::parse(text.as_bytes()), Ok(keys));
    }

    // PS2
    #[test]
    fn only_a_whole_key_is_one() {
        let (mut keys, ann, bob) = keys();
        assert_eq!(keys.check(ann.expose()).map(|key| &*key.name), Some("Ann"));
        assert_eq!(keys.check(bob.expose()).map(|key| key.scope), Some(Scope::Admin));
        let (ann, bob) = (ann.expose().to_owned(), bob.expose().to_owned());
        let half = ann.split_at(ann.len() - 1).0;
        let mixed = format!("{}{}", ann.split_at(15).0, bob.split_at(15).1);
        for wrong in ["", "radar_", "radar_00c0ffee", &keys.keys[0].sha256.clone(), half, &mixed, &format!("{ann}A")] {
            assert_eq!(keys.check(wrong), None, "{wrong}");
        }
        assert_eq!(keys.revoke("00c0ffee").map(|key| key.name), Ok("Ann".into()));
        assert_eq!((keys.check(&ann), keys.check(&bob).is_some()), (None, true));
        assert_eq!(keys.revoke("00c0ffee"), Err(ApiKeyError::Unknown("00c0ffee".to_owned())));
    }

    // PS2
    #[test]
    fn what_holds_no_keys_and_who_has_no_name_is_refused() {
        let good = keys().0.to_json();
        for bad in
            ["", "{}", "[]", "{\"keys\":[{}]}", &good.replace("00c0ffee", "coffee"), &good.replace("read", "all")]
        {
            assert!(matches!(ApiKeys::parse(bad.as_bytes()), Err(ApiKeyError::Content(_))), "{bad}");
        }
        for name in ["", "a\nb", &"x".repeat(65)] {
            assert_eq!(ApiKeys::default().create(name, Scope::Read, (1, [0; 32]), 0).err(), Some(ApiKeyError::Name));
        }
    }

    #[test]
    fn scopes_are_in_order() {
        assert!(Scope::Read < Scope::Operate && Scope::Operate < Scope::Admin);
    }
}
