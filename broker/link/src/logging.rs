//! Where the log goes: one subscriber for the whole program, to standard error. What is worth
//! a line is decided by those who write it.

use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum Format {
    /// Time, level, message, fields.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A text that names no form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a log format; use text or json")]
pub struct FormatError(String);

impl TryFrom<String> for Format {
    type Error = FormatError;

    fn try_from(text: String) -> Result<Self, FormatError> {
        match text.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(FormatError(text)),
        }
    }
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is not one.
    #[error(
        "`{level}` is not a log level; use error, warn, info, debug or trace, or one per part of the program, for example `info,radar_link=debug`"
    )]
    Level {
        /// What was given.
        level: String,
        /// What the parser says.
        source: Option<ParseError>,
    },
    /// There is a subscriber already.
    #[error("logging was started twice")]
    Twice,
}

/// Starts logging to standard error for the rest of the program. `level` is a level (`info`)
/// or a list of them per target (`radar_agent=debug,warn`); `ansi` asks for colours, which are
/// used on a terminal only.
///
/// # Errors
/// A level that is not one, or a second call.
pub fn start(format: Format, level: &str, ansi: bool) -> Result<(), LoggingError> {
    let registry = registry().with(filter(level)?);
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(ansi && io::stderr().is_terminal());
    match format {
        Format::Text => registry.with(lines.with_target(false)).try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(|_| LoggingError::Twice)
}

fn filter(level: &str) -> Result<Targets, LoggingError> {
    // A lone word that is no level would be taken for a target, and silence everything else.
    let known = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    let level: String = level.to_ascii_lowercase().split_whitespace().collect();
    let stray = level.split(',').find(|part| !part.contains('=') && !known(part));
    if stray.is_some() {
        return Err(LoggingError::Level { level, source: None });
    }
    level.parse().map_err(|source| LoggingError::Level { level, source: Some(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM19
    #[test]
    fn levels_are_words_or_words_per_target() {
        for level in ["info", "WARN", "off", "radar_agent=debug,warn", "info, radar_link=trace", "error"] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }

    // DM19
    #[test]
    fn what_is_no_level_is_refused_by_name() {
        for level in ["loud", "", "info,", "radar_agent=loud", "info,verbose"] {
            let error = filter(level).unwrap_err().to_string();
            assert!(error.contains(&format!("`{level}`")) && error.contains("info"), "{error}");
        }
    }

    #[test]
    fn a_second_start_is_refused() {
        assert!(start(Format::Text, "off", true).is_ok());
        assert!(matches!(start(Format::Json, "off", false), Err(LoggingError::Twice)));
        assert!(matches!(start(Format::Json, "loud", false), Err(LoggingError::Level { .. })));
    }
}
