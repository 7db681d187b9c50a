//! Why there is no connection, in words that say what to do.

use std::fmt;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The broker cannot be reached, or the connection broke.
    Network(String),
    /// Broker and client do not come to an encrypted connection.
    Tls(String),
    /// The broker has answered, and does not want us.
    Refused(String),
    /// The broker has ended the connection and said why.
    Server(String),
    /// Another client uses this client id, and the broker prefers the newer one.
    TakenOver {
        /// The id that both use.
        client_id: String,
    },
    /// [`Session::raise`](super::Session::raise) asked for a connection with a greater number.
    Raised,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(text) | Self::Tls(text) | Self::Refused(text) | Self::Server(text) => {
                f.write_str(text)
            }
            Self::TakenOver { client_id } => {
                write!(
                    f,
                    "another client has taken the session over: two programs use the client id `{client_id}`"
                )
            }
            Self::Raised => f.write_str("reconnecting with a greater connection number"),
        }
    }
}
