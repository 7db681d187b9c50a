//! How a request to the engine fails, in words, and what that says of the engine.

use std::error::Error;

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The engine answered: it does not have that.
    Missing(String),
    /// Who guards the engine's socket does not let this through.
    Denied(String),
    /// The engine answered, with an error or with what nobody understands.
    Answer(String),
    /// The engine did not answer.
    Silence(String),
}

impl Failure {
    pub(super) fn silence() -> Self {
        Self::Silence("it does not answer in time".to_owned())
    }

    pub(super) fn text(self) -> String {
        let (Self::Missing(text) | Self::Denied(text) | Self::Answer(text) | Self::Silence(text)) = self;
        text
    }
}

impl From<bollard::errors::Error> for Failure {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as Client;
        match &error {
            Client::DockerResponseServerError { status_code: 404, message } => Self::Missing(message.clone()),
            Client::DockerResponseServerError { status_code: status @ (401 | 403 | 405), .. } => {
                Self::Denied(format!("who guards the engine's socket denies it, with status {status}"))
            }
            Client::DockerResponseServerError { status_code, message } => {
                Self::Answer(format!("the engine says {status_code}: {}", message.trim()))
            }
            Client::RequestTimeoutError => Self::silence(),
            Client::JsonDataError { .. } | Client::JsonSerdeError { .. } | Client::StrParseError { .. } => {
                Self::Answer(format!("the engine's answer is not understood: {}", text(&error)))
            }
            _ => Self::Silence(text(&error)),
        }
    }
}

/// An error with its sources, those left out that only repeat.
pub(super) fn text(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        source = error.source();
    }
    said
}
