//! Signed claims: the compact JWS with Ed25519 (RFC 7515, RFC 8037), and signed digests of files. The only room that
//! signs, that verifies and that hashes. It
//! takes no other algorithm, reads no clock, and knows no claim: until when claims count and for whom is the caller's.

use std::fmt;
use std::str::FromStr;
use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

mod detached;

pub use detached::{Digest, DigestError, Hasher, is_signed, sign_digest};

/// What a public key's text begins with.
const KIND: &str = "ed25519:";

/// A key that signs. It does not print itself, and is wiped from memory when it is dropped.
pub struct SigningKey {
    pkcs8: EncodingKey,
    public: PublicKey,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes to make a key of")]
    Random,
    /// The bytes are something else.
    #[error("this is not a private Ed25519 key (PKCS#8, with its public key)")]
    NotPkcs8,
}

impl SigningKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// Reads a key from [`to_pkcs8`](Self::to_pkcs8)'s bytes.
    ///
    /// # Errors
    /// They are not such a key, or its two halves do not belong together.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| KeyError::NotPkcs8)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::NotPkcs8)?;
        Ok(Self { pkcs8: EncodingKey::from_ed_der(bytes), public: PublicKey(public) })
    }

    /// The key itself, for a file that nobody else can read.
    #[must_use]
    pub fn to_pkcs8(&self) -> &[u8] {
        self.pkcs8.as_bytes()
    }

    /// The part that verifies.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(*** of {})", self.public)
    }
}

/// A key that verifies; as text one line: `ed25519:` and base64url of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// A text that is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a public key; it is one line, `ed25519:` and 43 characters, as `radar-bridge key` prints it")]
pub struct PublicKeyError(String);

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let text = text.trim();
        let read = |base64| {
            let key = DecodingKey::from_ed_components(base64).ok()?;
            key.try_get_as_bytes().ok()?.try_into().ok()
        };
        match text.strip_prefix(KIND).and_then(read) {
            Some(bytes) => Ok(Self(bytes)),
            None => Err(PublicKeyError(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", base64url(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Base64 for URLs (RFC 4648, section 5), without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |group: &[u8]| {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        (0..=group.len()).map(move |digit| char::from(DIGITS[bits >> (18 - 6 * digit) & 63])).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

/// What cannot be signed: claims that have no form as JSON.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be signed")]
pub struct SignError(#[source] Error);

/// Signs claims; the header says `EdDSA` and `JWT`.
///
/// # Errors
/// They have no form as JSON.
pub fn sign<T: Serialize>(key: &SigningKey, claims: &T) -> Result<String, SignError> {
    provide();
    jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &key.pkcs8).map_err(SignError)
}

/// Why a token does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It has more bytes than are read.
    #[error("it has more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// It is not a compact JWS, or one that demands what is not known here.
    #[error("it is not a compact JWS")]
    Malformed,
    /// Its header does not say `EdDSA`.
    #[error("it is not signed with EdDSA, the only algorithm that is taken")]
    Algorithm,
    /// None of the keys has signed it.
    #[error("it is not signed by a key that is trusted here")]
    Signature,
    /// It is rightly signed, and does not say what it should.
    #[error("its claims do not fit: {0}")]
    Claims(String),
}

/// The claims of a token that one of the keys has signed. Whether they count now and here is not looked at.
///
/// # Errors
/// A [`VerifyError`] for everything else. Over `max` bytes nothing is looked at.
pub fn verify<T: DeserializeOwned>(keys: &[PublicKey], token: &[u8], max: usize) -> Result<T, VerifyError> {
    if token.len() > max {
        return Err(VerifyError::TooLarge { max });
    }
    let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
        // JSON, but not a header with an algorithm that has a name: `none` is one of these.
        ErrorKind::Json(error) if error.is_data() => VerifyError::Algorithm,
        _ => VerifyError::Malformed,
    })?;
    if header.alg != Algorithm::EdDSA {
        return Err(VerifyError::Algorithm);
    }
    // RFC 7515, section 4.1.11: what is critical must be understood.
    if header.crit.is_some() {
        return Err(VerifyError::Malformed);
    }
    provide();
    let validation = signature_alone();
    for key in keys {
        match jsonwebtoken::decode(token, &DecodingKey::from_ed_der(&key.0), &validation) {
            Ok(data) => return Ok(data.claims),
            Err(error) => match error.kind() {
                ErrorKind::InvalidSignature => {}
                ErrorKind::Json(error) => {
                    return Err(VerifyError::Claims(error.to_string().chars().take(200).collect()));
                }
                _ => return Err(VerifyError::Malformed),
            },
        }
    }
    Err(VerifyError::Signature)
}

/// Nothing of the claims is looked at, and so no clock.
fn signature_alone() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// Ed25519 of `ring`, and nothing else.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA => Ok(Box::new(RingSigner::new(key)?)),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA => Ok(Box::new(RingVerifier::new(key)?)),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes it the one that `jsonwebtoken` works with.
fn provide() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It fails only where there is one already, and nobody else installs any.
        let _ = PROVIDER.install_default();
    });
}

struct RingSigner(Ed25519KeyPair);

impl RingSigner {
    fn new(key: &EncodingKey) -> JwtResult<Self> {
        Ok(Self(Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?))
    }
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct RingVerifier(UnparsedPublicKey<Vec<u8>>);

impl RingVerifier {
    fn new(key: &DecodingKey) -> JwtResult<Self> {
        Ok(Self(UnparsedPublicKey::new(&ED25519, key.try_get_as_bytes()?.to_vec())))
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        self.0.verify(message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests;
