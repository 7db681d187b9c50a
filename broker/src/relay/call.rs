//! What the relay asks of the server, and how the server can have answered. Values only: the client that
//! performs a call is in [`crate::upstream`].

use std::time::Duration;

use radar_link::secret::Secret;

use super::enrollment::UpstreamId;

/// Names one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub(super) u64);

/// One request to perform; its outcome is owed to the relay under the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// What to ask.
    pub call: Call,
}

/// One call of the server's interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Exchanges the one-time token for a refresh secret, and voids the previous secret.
    Enroll {
        /// Whose token it is.
        upstream: UpstreamId,
        /// The token.
        token: Secret,
    },
    /// Exchanges the refresh secret for an access token.
    Token {
        /// Whose secret it is.
        upstream: UpstreamId,
        /// The secret.
        secret: Secret,
    },
    /// Reports all containers of an agent.
    Beat {
        /// Opens the call and says whose beat it is.
        access: Secret,
        /// The whole heartbeat as JSON.
        body: String,
    },
    /// Signs in as a user of the server's page.
    Login {
        /// The user.
        username: String,
        /// The user's password.
        password: Secret,
    },
    /// Lists the server's agents.
    Agents {
        /// From the login.
        web: Secret,
    },
    /// Makes an agent.
    Create {
        /// From the login.
        web: Secret,
        /// The name that the server shows.
        name: String,
        /// Marks the agent as made by this bridge for one of its agents.
        tag: String,
    },
    /// Deletes an agent.
    Delete {
        /// From the login.
        web: Secret,
        /// Which one.
        upstream: UpstreamId,
    },
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The server did it: status, content type and fields are those of the contract.
    Answer(Answer),
    /// The server said no in its own words.
    Refused {
        /// The HTTP status, 400 to 499.
        status: u16,
        /// The text of `error`, cut and without control characters.
        error: String,
    },
    /// Anything else.
    Failed(Failure),
}

/// What a server answers to a call that it performed.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Call::Enroll`].
    Enrolled {
        /// Good for the first beats.
        access: Access,
        /// To be stored before it is used.
        secret: Secret,
    },
    /// To [`Call::Token`].
    Token(Access),
    /// To [`Call::Beat`].
    Beat {
        /// The interval that the server wishes, in seconds.
        interval: Option<f64>,
    },
    /// To [`Call::Login`].
    Login {
        /// Opens the calls of a user.
        web: Secret,
        /// The user has never changed the password that came with the server.
        first_login: bool,
    },
    /// To [`Call::Agents`].
    Agents(Vec<Listed>),
    /// To [`Call::Create`].
    Created {
        /// The new agent.
        upstream: UpstreamId,
        /// Its one-time token.
        token: Secret,
    },
    /// To [`Call::Delete`].
    Deleted,
}

/// An access token and how long it lives from the moment of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The token.
    pub token: Secret,
    /// Its whole life, by its own claims.
    pub lifetime: Duration,
}

/// An agent in the server's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub upstream: UpstreamId,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it has ever sent a heartbeat.
    pub seen: bool,
}

/// A call that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The request did not get there: no address, no connection, no TLS.
    Unreachable(String),
    /// The request went out and no answer came within the time allowed: the server may still be at it.
    Unanswered(String),
    /// A server error or a plea to wait (408, 429, 5xx).
    Server {
        /// The HTTP status.
        status: u16,
        /// What it says.
        text: String,
    },
    /// The body was refused as it stands (400, 413 or 422 without the server's own words).
    Rejected {
        /// The HTTP status.
        status: u16,
    },
    /// An answer that no Registry Radar server gives: a page, a redirect, missing fields.
    Foreign {
        /// The HTTP status.
        status: u16,
        /// What came instead.
        text: String,
    },
}
