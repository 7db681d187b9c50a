//! SHA-256 of what comes in pieces, and signatures of such digests by themselves: for files, which are too large for a
//! token.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use ring::digest::{Context, SHA256};

use super::{PublicKey, SignError, SigningKey, provide};

/// A SHA-256; as text 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 64 hexadecimal digits")]
pub struct DigestError;

/// Takes in a file piece by piece.
#[derive(Clone)]
pub struct Hasher(Context);

impl Hasher {
    /// Nothing taken in yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Digest(bytes)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(DigestError);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).ok_or(DigestError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Signs the 32 bytes of a digest; the signature as base64url.
///
/// # Errors
/// The key cannot sign, which none does that was read or made here.
pub fn sign_digest(key: &SigningKey, digest: &Digest) -> Result<String, SignError> {
    provide();
    crypto::sign(&digest.0, &key.pkcs8, Algorithm::EdDSA).map_err(SignError)
}

/// Whether one of the keys has signed this digest. A signature that is none is nobody's.
#[must_use]
pub fn is_signed(keys: &[PublicKey], digest: &Digest, signature: &str) -> bool {
    provide();
    let by = |key: &PublicKey| {
        let key = DecodingKey::from_ed_der(&key.0);
        crypto::verify(signature, &digest.0, &key, Algorithm::EdDSA).unwrap_or(false)
    };
    keys.iter().any(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(pieces: &[&str]) -> Digest {
        let mut hasher = Hasher::new();
        pieces.iter().for_each(|piece| hasher.update(piece.as_bytes()));
        hasher.finish()
    }

    // DM13
    #[test]
    fn a_digest_is_that_of_the_whole_whatever_the_pieces() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for pieces in [&["abc"][..], &["a", "", "bc"]] {
            assert_eq!(digest(pieces).to_string(), abc);
        }
        assert_eq!(abc.to_uppercase().parse(), Ok(digest(&["abc"])));
        for wrong in ["", &abc[1..], &format!("{abc}0"), &abc.replace('b', "g"), &abc.replace("ba", "+a")] {
            assert_eq!(wrong.parse::<Digest>(), Err(DigestError), "{wrong}");
        }
    }

    // DM13
    #[test]
    fn only_the_signature_of_a_known_key_over_this_digest_counts() {
        let (old, new, other) =
            (SigningKey::generate().unwrap(), SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (abc, abd) = (digest(&["abc"]), digest(&["abd"]));
        let signature = sign_digest(&new, &abc).unwrap();
        let keys = [old.public(), new.public()];
        assert!(is_signed(&keys, &abc, &signature));
        assert!(!is_signed(&keys, &abd, &signature), "of something else");
        assert!(!is_signed(&[other.public()], &abc, &signature), "by somebody else");
        assert!(!is_signed(&[], &abc, &signature), "nobody is trusted");
        for wrong in ["", "!", &signature[1..], &format!("{signature}AA"), &"A".repeat(86)] {
            assert!(!is_signed(&keys, &abc, wrong), "{wrong}");
        }
    }
}
