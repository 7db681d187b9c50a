//! Gathers the values of a table from the file and the environment, and takes them apart into
//! structures.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, File, FileFormat, Map, Value};
use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Setting, SettingsError, Source};

/// All values of a program, with their sources.
#[derive(Clone)]
pub struct Values {
    table: Vec<Setting>,
    values: Map<String, Value>,
    sources: BTreeMap<String, Source>,
}

/// Gathers the values: defaults of the table, then the TOML file, then the environment.
///
/// # Errors
/// A file that cannot be used, a key that no setting has, a secret that is given twice or whose file cannot be read.
pub fn read(
    table: &[Setting],
    file: Option<&Path>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Values, SettingsError> {
    let mut config = Config::builder();
    let mut sources = BTreeMap::new();
    let from_file = file.map(|path| parse(table, path)).transpose()?.unwrap_or_default();
    for setting in table {
        let given = match from_environment(setting, &env)? {
            Some(given) => Some(given),
            None => taken_from_file(setting, file, &from_file)?,
        };
        if let Some(default) = setting.default {
            config = config.set_default(setting.key, default).map_err(of_table)?;
            sources.insert(setting.key.to_owned(), Source::Default(setting.variable));
        }
        if let Some((value, source)) = given {
            config = config.set_override(setting.key, value).map_err(of_table)?;
            sources.insert(setting.key.to_owned(), source);
        }
    }
    let values = config.build().and_then(Config::try_deserialize).map_err(of_table)?;
    Ok(Values { table: table.to_vec(), values, sources })
}

fn of_table(error: ConfigError) -> SettingsError {
    SettingsError::Table(error.to_string())
}

fn parse(table: &[Setting], path: &Path) -> Result<Map<String, Value>, SettingsError> {
    let refused = |why: String| SettingsError::File { file: path.to_owned(), why };
    let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let values: Map<String, Value> = Config::builder()
        .add_source(File::from_str(&text, FileFormat::Toml))
        .build()
        .and_then(Config::try_deserialize)
        .map_err(|error| refused(error.to_string()))?;
    let known: Vec<String> = table.iter().flat_map(keys).collect();
    let mut unknown: Vec<&String> = values.keys().filter(|key| !known.contains(key)).collect();
    unknown.sort_unstable();
    match unknown.first() {
        None => Ok(values),
        Some(key) => {
            let nearest = known.iter().min_by_key(|known| distance(key, known)).cloned().unwrap_or_default();
            Err(SettingsError::UnknownKey { file: path.to_owned(), key: (*key).clone(), nearest })
        }
    }
}

fn keys(setting: &Setting) -> impl Iterator<Item = String> + use<> {
    let file = setting.secret.then(|| format!("{}_file", setting.key));
    [setting.key.to_owned()].into_iter().chain(file)
}

fn from_environment(
    setting: &Setting,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<Option<(Value, Source)>, SettingsError> {
    let get = |variable: String| {
        let value = env(&variable).filter(|value| !value.is_empty());
        value.map(|value| (value, Source::Variable(variable)))
    };
    let plain = get(setting.variable.to_owned()).map(|(value, source)| (Value::from(value), source));
    let named = if setting.secret { get(format!("{}_FILE", setting.variable)) } else { None };
    one_of(plain, named)
}

fn taken_from_file(
    setting: &Setting,
    file: Option<&Path>,
    values: &Map<String, Value>,
) -> Result<Option<(Value, Source)>, SettingsError> {
    let Some(path) = file else { return Ok(None) };
    let get = |key: String| {
        let value = values.get(&key).cloned();
        value.map(|value| (value, Source::Key(key, path.to_owned())))
    };
    let plain = get(setting.key.to_owned());
    let named = if setting.secret { get(format!("{}_file", setting.key)) } else { None };
    let named = named.map(|(value, source)| (value.into_string().unwrap_or_default(), source));
    one_of(plain, named)
}

fn one_of(
    plain: Option<(Value, Source)>,
    named: Option<(String, Source)>,
) -> Result<Option<(Value, Source)>, SettingsError> {
    match (plain, named) {
        (Some((_, one)), Some((_, other))) => Err(SettingsError::Both { one, other }),
        (plain, None) => Ok(plain),
        (None, Some((file, origin))) => match fs::read_to_string(&file) {
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                Ok(Some((Value::from(text), origin)))
            }
            Err(error) => Err(SettingsError::SecretFile { origin, file: PathBuf::from(file), why: error.to_string() }),
        },
    }
}

/// The number of single-character edits between two keys.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

impl Values {
    /// The settings of one structure: its fields are keys of the table; other keys are ignored.
    ///
    /// # Errors
    /// A value that does not fit its field, or a field without a default that is not given.
    pub fn part<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        T::deserialize(Part(self)).map_err(|error| self.explain(error))
    }

    /// An error about the value of `key`, for what only the program can judge.
    pub fn refuse(&self, key: &str, why: impl Into<String>) -> SettingsError {
        match self.sources.get(key) {
            Some(origin) => SettingsError::Value { origin: origin.clone(), why: why.into() },
            None => SettingsError::Table(format!("no setting `{key}` is given")),
        }
    }

    fn setting(&self, key: &str) -> Option<&Setting> {
        self.table.iter().find(|setting| setting.key == key)
    }

    fn explain(&self, error: PartError) -> SettingsError {
        match error {
            PartError::Missing(key) => match self.setting(key) {
                Some(setting) => {
                    SettingsError::Missing { variable: setting.variable, key: setting.key, sentence: setting.sentence }
                }
                None => SettingsError::Table(format!("no setting `{key}`")),
            },
            PartError::Other(text) => SettingsError::Table(text),
            PartError::Value(key, error) => {
                let secret = self.setting(&key).filter(|setting| setting.secret);
                let given = self.values.get(&key).cloned().and_then(|value| value.into_string().ok());
                let why = match (secret, error, given) {
                    (Some(setting), ..) => format!(
                        "the value cannot be used (it is secret, so it is not shown); what belongs here: {}",
                        setting.sentence
                    ),
                    (None, ConfigError::Type { expected, .. }, Some(given)) => format!("`{given}` is not {expected}"),
                    (None, error, _) => error.to_string(),
                };
                self.refuse(&key, why)
            }
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secrets.
        f.debug_struct("Values").field("sources", &self.sources).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
enum PartError {
    #[error("missing field `{0}`")]
    Missing(&'static str),
    #[error("{0}: {1}")]
    Value(String, ConfigError),
    #[error("{0}")]
    Other(String),
}

impl serde::de::Error for PartError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Other(text.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// Deserializes a structure from the values, and remembers the key at which it fails, which
/// serde's own map deserializer would forget.
struct Part<'a>(&'a Values);

impl<'de> Deserializer<'de> for Part<'_> {
    type Error = PartError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PartError> {
        visitor.visit_map(Entries { entries: self.0.values.iter(), current: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries<'a, I> {
    entries: I,
    current: Option<(&'a String, &'a Value)>,
}

impl<'a, 'de, I> MapAccess<'de> for Entries<'a, I>
where
    I: Iterator<Item = (&'a String, &'a Value)>,
{
    type Error = PartError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, PartError> {
        self.current = self.entries.next();
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, PartError> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, PartError> {
        let (key, value) = self.current.take().ok_or_else(|| PartError::Other("a value without a key".to_owned()))?;
        seed.deserialize(value.clone()).map_err(|error| PartError::Value(key.clone(), error))
    }
}

#[cfg(test)]
mod tests;
