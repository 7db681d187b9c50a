//! Settings: one table per program says every key, its variable, its default and what it is
//! for; the configuration file, the environment, the help, the documentation and the example
//! file all follow from it. The only place that reads the environment is the program's `main`,
//! which hands it in.
//!
//! A setting has one flat key, which is its variable in lower case. The environment wins over
//! the file, the file over the default; an empty variable counts as not set. Each secret can
//! also be named by a file: `MQTT_PASSWORD_FILE` or `mqtt_password_file`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

mod list;
mod shared;
mod span;
mod tables;
mod values;

pub use list::List;
pub use shared::{LOG, LogSettings, MQTT, MqttSettings, data_dir};
pub use span::{Span, SpanError};
pub use tables::{example_toml, help_table, markdown_table};
pub use values::{Values, read};

/// One row of the table. Tables are joined by `[settings::MQTT, OWN].concat()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// In the file: the variable in lower case.
    pub key: &'static str,
    /// In the environment.
    pub variable: &'static str,
    /// What counts when nothing is given, in the form of the environment.
    pub default: Option<&'static str>,
    /// Never shown, and can be named by a file.
    pub secret: bool,
    /// What it is for, in one sentence.
    pub sentence: &'static str,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A variable of the environment.
    Variable(String),
    /// A key of the configuration file.
    Key(String, PathBuf),
    /// The default of a key.
    Default(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => write!(f, "variable {variable}"),
            Self::Key(key, file) => write!(f, "key {key} in {}", file.display()),
            Self::Default(key) => write!(f, "default of {key}"),
        }
    }
}

/// Why the settings cannot be used. Exit code 64. No text holds the value of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration file cannot be read or is not TOML.
    #[error("configuration file {}: {why}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A key of the configuration file that no setting has.
    #[error("configuration file {}: there is no setting `{key}`; did you mean `{nearest}`?", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The known key that is most like it.
        nearest: String,
    },
    /// A secret both given and named by a file.
    #[error("{one} and {other} are both given; remove one of them")]
    Both {
        /// The secret.
        one: Source,
        /// The name of its file.
        other: Source,
    },
    /// The file that holds a secret cannot be read.
    #[error("{origin}: cannot read {}: {why}", file.display())]
    SecretFile {
        /// Who names the file.
        origin: Source,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A setting without a default is not given.
    #[error("{variable} is not set; give it in the environment, or as `{key}` in the configuration file ({sentence})")]
    Missing {
        /// The variable.
        variable: &'static str,
        /// The key.
        key: &'static str,
        /// What it is for.
        sentence: &'static str,
    },
    /// A value that cannot be used.
    #[error("{origin}: {why}")]
    Value {
        /// Where it came from.
        origin: Source,
        /// What is wrong with it and what would be right.
        why: String,
    },
    /// The program reads a setting that its table lacks: a mistake of the program.
    #[error("the program's table of settings does not fit its fields: {0}")]
    Table(String),
}

/// Reads all settings into one structure. A program whose settings are several structures
/// calls [`read`] and takes them apart with [`Values::part`].
///
/// # Errors
/// The first thing that is wrong, with the name of the setting and where it came from.
pub fn load<T: DeserializeOwned>(
    table: &[Setting],
    file: Option<&Path>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<T, SettingsError> {
    read(table, file, env)?.part()
}
