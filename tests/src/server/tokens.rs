//! Tokens that look like the server's: three parts, signed by nobody. Whether one is good is written down beside
//! the signing, so a restart that forgets the notes voids them all.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use serde_json::json;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Whose token it is, and until when.
#[derive(Debug, Clone)]
struct Issued {
    subject: String,
    expires: Duration,
}

/// The tokens of one life of the process.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    issued: BTreeMap<String, Issued>,
    number: u64,
}

impl Tokens {
    /// Signs a token; `kind` is `agent` or `web`.
    pub(super) fn issue(
        &mut self,
        subject: &str,
        kind: &str,
        lifetime: Duration,
        mono: Duration,
        wall: i64,
        seed: u64,
    ) -> String {
        self.number += 1;
        self.issued.retain(|_, issued| issued.expires > mono);
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": format!("{seed:016x}") });
        let begin = wall / 1000;
        // Whole seconds, as the server's claims are; a shorter life is kept beside the token.
        let end = begin + i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 2);
        let claims = json!({ "sub": subject, "typ": kind, "iat": begin, "exp": end });
        let text = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
        let signature = pseudo_random(&(seed, self.number, &text), 256);
        let token = format!("{text}.{}", base64(&signature));
        self.issued.insert(token.clone(), Issued { subject: subject.to_owned(), expires: mono + lifetime });
        token
    }

    /// Whose token this is, when it is good.
    pub(super) fn subject(&self, token: &str, mono: Duration) -> Option<&str> {
        self.issued.get(token).filter(|issued| issued.expires > mono).map(|issued| issued.subject.as_str())
    }
}

/// Bytes that look random and are the same for the same seed.
pub(super) fn pseudo_random(seed: &impl std::hash::Hash, count: usize) -> Vec<u8> {
    let block = |number: usize| {
        let mut hasher = DefaultHasher::new();
        (seed, number).hash(&mut hasher);
        hasher.finish().to_le_bytes()
    };
    (0..count.div_ceil(8)).flat_map(block).take(count).collect()
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| chunk.get(at).copied().unwrap_or_default());
        let digits = [a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63];
        text.extend(digits.iter().take(chunk.len() + 1).map(|digit| char::from(ALPHABET[usize::from(*digit)])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text_without_padding() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (&[255, 254, 253], "__79")]
        {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn a_token_is_good_until_its_end() {
        let mut tokens = Tokens::default();
        let second = Duration::from_secs(1);
        let token = tokens.issue("a", "agent", second * 5, second, 0, 7);
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(tokens.subject(&token, second * 5), Some("a"));
        assert_eq!(tokens.subject(&token, second * 6), None);
        assert_eq!(Tokens::default().subject(&token, second), None);
    }
}
