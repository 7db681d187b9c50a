//! What is kept of an agent's account at the server, from the first token to the end. The store
//! writes it as it is here; nothing in it depends on the moment.

use std::fmt;
use std::str::FromStr;

use radar_link::secret::Secret;
use thiserror::Error;

/// The server's own id of an agent. It becomes a part of a path, so it holds no character that ends one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpstreamId(Box<str>);

/// The text is no id that the server could have given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not an agent id of a Registry Radar server: use the AGENT_ID that its page shows")]
pub struct UpstreamIdError(String);

impl UpstreamId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UpstreamId {
    type Err = UpstreamIdError;

    fn from_str(text: &str) -> Result<Self, UpstreamIdError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        let dots = text.bytes().all(|byte| byte == b'.');
        if (1..=128).contains(&text.len()) && text.bytes().all(fits) && !dots {
            Ok(Self(text.into()))
        } else {
            Err(UpstreamIdError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for UpstreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What opens an account at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The one-time token, which is exchanged for a refresh secret.
    Token(Secret),
    /// The refresh secret of an agent that is enrolled already.
    Secret(Secret),
}

/// An agent's account at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrollment {
    /// The server's id of the agent.
    pub upstream: UpstreamId,
    /// How far it has come.
    pub standing: Standing,
    /// The token that was given last, used or not: the same one is never tried twice.
    pub token: Option<Secret>,
    /// The refresh secret; there from [`Standing::Enrolled`] on.
    pub secret: Option<Secret>,
    /// The server's own words for a standing that is an end; empty otherwise.
    pub note: String,
    /// What the server is known to show.
    pub told: Told,
}

impl Enrollment {
    /// The account that a credential opens.
    pub fn granted(upstream: UpstreamId, credential: Credential) -> Self {
        let (standing, token, secret) = match credential {
            Credential::Token(token) => (Standing::Granted, Some(token), None),
            Credential::Secret(secret) => (Standing::Enrolled, None, Some(secret)),
        };
        Self { upstream, standing, token, secret, note: String::new(), told: Told::default() }
    }

    /// Whether this credential has brought the account to where it is.
    pub(super) fn knows(&self, credential: &Credential) -> bool {
        match credential {
            Credential::Token(token) => self.token.as_ref() == Some(token),
            Credential::Secret(secret) => self.secret.as_ref() == Some(secret),
        }
    }
}

/// How far an account has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A token is there and waits for its use.
    Granted,
    /// The refresh secret is there.
    Enrolled,
    /// The server refused the token; only another one helps.
    TokenRefused,
    /// The server refused the refresh secret; only another credential helps.
    SecretRefused,
    /// The agent was deleted at the server.
    Deleted,
}

impl Standing {
    const ALL: [Self; 5] = [Self::Granted, Self::Enrolled, Self::TokenRefused, Self::SecretRefused, Self::Deleted];

    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Enrolled => "enrolled",
            Self::TokenRefused => "token-refused",
            Self::SecretRefused => "secret-refused",
            Self::Deleted => "deleted",
        }
    }

    /// The standing that a stored word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }
}

/// What the server is known to show. Each is cleared durably **before** a beat that may end it, and set after
/// a beat that was accepted, so that after a crash a `true` still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// The server shows the agent as offline.
    pub offline: bool,
    /// The server holds no container of the agent.
    pub empty: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_id_cannot_leave_its_place_in_a_path() {
        for text in ["4c0b8a0e-1111-4222-8333-444455556666", "agent_1.b:2"] {
            assert_eq!(text.parse::<UpstreamId>().unwrap().as_str(), text);
        }
        for text in ["", "..", "a/b", "a?b", "a#b", "a%2fb", "a b", "ä", &"x".repeat(129)] {
            assert!(text.parse::<UpstreamId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_stored_word_names_its_standing() {
        for standing in Standing::ALL {
            assert_eq!(Standing::from_word(standing.as_str()), Some(standing));
        }
        assert_eq!(Standing::from_word("other"), None);
    }

    // RR13
    #[test]
    fn no_secret_is_printed() {
        let enrollment = Enrollment {
            secret: Some(Secret::new("hush-secret")),
            ..Enrollment::granted("a".parse().unwrap(), Credential::Token(Secret::new("hush-token")))
        };
        assert!(!format!("{enrollment:?}").contains("hush"));
    }
}
