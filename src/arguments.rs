//! The command line: what the program was started for.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Error, Parser};
use radar_link::settings::help_table;

use crate::{settings, version};

const HELP: &str = "\
Watches the containers of this host and tells what it sees over MQTT

Usage: radar-agent [OPTIONS] [COMMAND]

Commands:
  run     Watches the host until it is asked to stop; the same as no command
  health  Asks the agent that runs with the same DATA_DIR whether it is well: exits with 0 or 1
  help    Prints this text

Options:
      --config <FILE>  A TOML file with settings; the environment wins over it
  -h, --help           Prints this text
  -V, --version        Prints the version

Settings, from the environment or in lower case from the file:
";

/// What the program was started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To print this.
    Text(String),
    /// To do something.
    Work(Arguments),
}

/// What there is to do, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// A TOML file with settings; the environment wins over it.
    pub config: Option<PathBuf>,
    /// A new version that another watches: it ends when its standard input does.
    pub trial: bool,
    /// What to do.
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Command {
    /// Watches the host until it is asked to stop.
    #[default]
    Run,
    /// Asks the agent that runs with the same `DATA_DIR` whether it is well.
    Health,
    /// Replaces the agent of this data directory: what a helper does, which the agent starts itself.
    TakeOver,
}

impl Asked {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// A sentence about what is wrong with them.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        read(Parser::from_args(arguments)).map_err(|error| format!("{error}; see radar-agent --help"))
    }
}

fn read(mut parser: Parser) -> Result<Asked, Error> {
    let (mut read, mut command) = (Arguments::default(), None);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Asked::Text(help())),
            Arg::Short('V') | Arg::Long("version") => return Ok(Asked::Text(format!("radar-agent {}\n", version()))),
            Arg::Long("config") if read.config.is_none() => read.config = Some(parser.value()?.into()),
            Arg::Long("trial") if !read.trial => read.trial = true,
            Arg::Value(word) if command.is_none() => match word.to_str() {
                Some("run") => command = Some(Command::Run),
                Some("health") => command = Some(Command::Health),
                Some("take-over") => command = Some(Command::TakeOver),
                Some("help") => return Ok(Asked::Text(help())),
                _ => return Err(Arg::Value(word).unexpected()),
            },
            Arg::Long(option @ ("config" | "trial")) => return Err(format!("--{option} is there twice").into()),
            other => return Err(other.unexpected()),
        }
    }
    read.command = command.unwrap_or_default();
    Ok(Asked::Work(read))
}

fn help() -> String {
    format!("{HELP}{}", help_table(&settings::table()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, String> {
        Asked::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_stand_before_and_behind_the_command() {
        let work = |config: Option<&str>, trial, command| {
            Ok(Asked::Work(Arguments { config: config.map(PathBuf::from), trial, command }))
        };
        for (line, expect) in [
            ("", work(None, false, Command::Run)),
            ("run", work(None, false, Command::Run)),
            ("health", work(None, false, Command::Health)),
            ("take-over", work(None, false, Command::TakeOver)),
            ("--config a.toml", work(Some("a.toml"), false, Command::Run)),
            ("--config=a.toml health", work(Some("a.toml"), false, Command::Health)),
            ("health --config a.toml", work(Some("a.toml"), false, Command::Health)),
            ("--config a.toml take-over", work(Some("a.toml"), false, Command::TakeOver)),
            ("run --config a.toml --trial", work(Some("a.toml"), true, Command::Run)),
        ] {
            assert_eq!(parse(line), expect, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, named) in [
            ("--nope", "'--nope'"),
            ("-x", "'-x'"),
            ("nope", "nope"),
            ("run health", "health"),
            ("--config", "'--config'"),
            ("--config a --config b", "--config is there twice"),
            ("--trial --trial", "--trial is there twice"),
            ("--trial=yes", "'--trial'"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(named) && error.ends_with("; see radar-agent --help"), "{line}: {error}");
        }
    }

    #[test]
    fn help_tells_commands_options_and_settings() {
        for line in ["--help", "-h", "help", "help health", "health --help", "--config a.toml -h"] {
            let Ok(Asked::Text(text)) = parse(line) else { panic!("{line}") };
            for word in ["run", "health", "--config <FILE>", "--version", "MQTT_URL", "AGENT_ID"] {
                assert!(text.contains(word), "{line}: {word}");
            }
            assert!(!text.contains("take-over") && !text.contains("--trial"), "{line}");
        }
        for line in ["--version", "-V"] {
            assert_eq!(parse(line), Ok(Asked::Text(format!("radar-agent {}\n", version()))));
        }
    }
}
