//! A password as Mosquitto keeps it: PBKDF2 with SHA-512, twelve bytes of salt.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use radar_link::secret::Secret;
use ring::pbkdf2;

/// As many rounds as Mosquitto itself does. It hashes at every connection, on the one thread that carries all messages,
/// and a random password of 192 bits needs no slow hash.
const ROUNDS: NonZeroU32 = NonZeroU32::new(101).expect("it is not zero");

/// The salt; Mosquitto 2.0.11 takes no other length.
pub(crate) const SALT: usize = 12;

/// A hashed password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hashed {
    salt: [u8; SALT],
    hash: [u8; 64],
}

impl Hashed {
    /// Hashes a password with a random salt.
    pub(crate) fn new(password: &Secret, salt: [u8; SALT]) -> Self {
        let mut hash = [0; 64];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, ROUNDS, &salt, password.expose().as_bytes(), &mut hash);
        Self { salt, hash }
    }

    /// How often it is hashed.
    pub(crate) fn rounds(&self) -> u32 {
        ROUNDS.get()
    }

    /// The salt in base64.
    pub(crate) fn salt(&self) -> String {
        STANDARD.encode(self.salt)
    }

    /// The hash in base64.
    pub(crate) fn hash(&self) -> String {
        STANDARD.encode(self.hash)
    }

    /// What follows the account's name in a password file, in the form of `mosquitto_passwd`.
    pub(crate) fn line(&self) -> String {
        format!("$7${}${}${}", self.rounds(), self.salt(), self.hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // E8
    #[test]
    fn it_is_what_mosquitto_passwd_makes() {
        // mosquitto_passwd -b -c FILE a b
        const LINE: &str = "$7$101$7PxiKI1CVjNQAmbZ$/GXPIJg1GkGOOLNF1Qh73fvf6nWi5iDAJ5YEO1CX8Tn+wYvXD+MPRqW48xMMd2C4lRHU9SA9qhJNMKXFHJNmKg==";
        let salt = STANDARD.decode("7PxiKI1CVjNQAmbZ").unwrap().try_into().unwrap();
        assert_eq!(Hashed::new(&Secret::new("b"), salt).line(), LINE);
        assert_ne!(Hashed::new(&Secret::new("c"), salt).line(), LINE);
    }
}
