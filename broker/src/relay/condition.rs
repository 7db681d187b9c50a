//! How the relation to the server stands, for the log, for `/health` and for the table of agents. Each
//! condition is reported once, when it begins; its text says what is wrong and what to do.

use std::fmt;
use std::mem::discriminant;

/// How the relay of one agent stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing that opens an account at the server was given.
    Unenrolled,
    /// On its way to its first beat.
    Enrolling,
    /// Enrolled; its containers are not known yet, so nothing can be said.
    Waiting,
    /// The server has what is known.
    Relayed,
    /// It is offline and its containers are not known: the server cannot be told without deleting them there.
    Unlisted,
    /// Every one of its containers had to be left out, which must not look like a host without containers.
    Unsendable {
        /// How many there are.
        left_out: usize,
    },
    /// The list does not fit into a heartbeat.
    TooLarge {
        /// How many containers it has.
        containers: usize,
        /// The size of the heartbeat at its smallest, in bytes.
        bytes: usize,
    },
    /// The server takes none of its heartbeats.
    Rejected(String),
    /// The server refused the one-time token.
    TokenRefused(String),
    /// The server refused the refresh secret.
    SecretRefused(String),
    /// It was deleted at the server.
    Deleted,
    /// The server has an agent in use that a bridge made for this one, but its secret is not here.
    Taken(String),
}

impl Condition {
    /// Whether somebody has to do something.
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Self::Unenrolled | Self::Enrolling | Self::Waiting | Self::Relayed)
    }

    pub(super) fn same_kind(&self, other: &Self) -> bool {
        discriminant(self) == discriminant(other)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unenrolled => f.write_str(
                "not enrolled: give AGENT_ID and AGENT_ENROLL_TOKEN to the agent or the bridge, or SERVER_USERNAME and SERVER_PASSWORD to the bridge",
            ),
            Self::Enrolling => f.write_str("enrolling"),
            Self::Waiting => f.write_str("waiting for its first complete list of containers"),
            Self::Relayed => f.write_str("relayed"),
            Self::Unlisted => f.write_str(
                "offline, and its containers are not known: the server is not told, since an empty list would delete them there",
            ),
            Self::Unsendable { left_out } => write!(
                f,
                "none of its {left_out} containers can be sent (no name, or no image name): the server keeps its last list"
            ),
            Self::TooLarge { containers, bytes } => write!(
                f,
                "its {containers} containers take {bytes} bytes, more than the server's limit of {}: the server keeps its last list; run fewer containers on the host",
                super::body::LIMIT
            ),
            Self::Rejected(text) => write!(f, "the server takes none of its heartbeats: {text}"),
            Self::TokenRefused(text) => write!(
                f,
                "the server refused its enrollment token ({text}): make a new agent at the server and give its AGENT_ID and AGENT_ENROLL_TOKEN"
            ),
            Self::SecretRefused(text) => write!(
                f,
                "the server refused its refresh secret ({text}), so somebody else has enrolled with its AGENT_ID: stop that agent, and give this one a new AGENT_ID and AGENT_ENROLL_TOKEN"
            ),
            Self::Deleted => f.write_str(
                "deleted at the server, so it is no longer relayed: make a new agent there and give its AGENT_ID and AGENT_ENROLL_TOKEN, or purge it here",
            ),
            Self::Taken(upstream) => write!(
                f,
                "the server has agent {upstream}, which a bridge made for this one and used, but its secret is not here: delete it at the server, or give its AGENT_ID and REFRESH_SECRET"
            ),
        }
    }
}

/// How the server as a whole stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerCondition {
    /// Nothing was asked yet.
    Unheard,
    /// It takes heartbeats.
    Well,
    /// It does not answer.
    Unreachable(String),
    /// It answers with errors.
    Failing {
        /// The HTTP status.
        status: u16,
        /// What it says.
        text: String,
    },
    /// Its heartbeats have failed many times in a row.
    Wedged,
    /// What answers is no Registry Radar server.
    Foreign {
        /// The HTTP status.
        status: u16,
        /// What came instead.
        text: String,
    },
    /// It refuses what it has granted a moment ago.
    Denying {
        /// The HTTP status.
        status: u16,
        /// What it says.
        text: String,
    },
}

impl ServerCondition {
    /// Whether somebody has to do something.
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Self::Unheard | Self::Well)
    }

    pub(super) fn same_kind(&self, other: &Self) -> bool {
        discriminant(self) == discriminant(other)
    }
}

impl fmt::Display for ServerCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unheard => f.write_str("not asked yet"),
            Self::Well => f.write_str("takes heartbeats"),
            Self::Unreachable(text) => {
                write!(f, "the server cannot be reached: {text}; check SERVER_URL and the server")
            }
            Self::Failing { status, text } => write!(f, "the server fails with status {status}: {text}"),
            Self::Wedged => {
                f.write_str("the server's database is wedged: every heartbeat of every agent fails; restart the server")
            }
            Self::Foreign { status, text } => {
                write!(f, "not a Registry Radar server, or a wrong path in SERVER_URL: status {status}, {text}")
            }
            Self::Denying { status, text } => {
                write!(f, "the server refuses what it has just granted: status {status}, {text}")
            }
        }
    }
}

/// How the login with `SERVER_USERNAME` and `SERVER_PASSWORD` stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginCondition {
    /// Not tried yet, or not asked for.
    Unused,
    /// Signed in.
    Well,
    /// The server refused it.
    Refused(String),
    /// The password that came with the server was never changed.
    FirstLogin,
}

impl LoginCondition {
    /// Whether somebody has to do something.
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::FirstLogin)
    }

    pub(super) fn same_kind(&self, other: &Self) -> bool {
        discriminant(self) == discriminant(other)
    }
}

impl fmt::Display for LoginCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unused => f.write_str("not signed in"),
            Self::Well => f.write_str("signed in"),
            Self::Refused(text) => {
                write!(f, "the server refused the login ({text}): check SERVER_USERNAME and SERVER_PASSWORD")
            }
            Self::FirstLogin => f.write_str(
                "the user in SERVER_USERNAME has never signed in: open the server's page, sign in once and change the password, then set SERVER_PASSWORD",
            ),
        }
    }
}
