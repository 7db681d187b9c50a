//! How the program ends, for scripts: a number, and what it stands for.

use std::process::ExitCode;

/// What the exit codes mean; shown by `--help`.
pub(super) const TABLE: &str = "\
Exit codes:
  0  done, or it was so already
  1  failed: the agent could not do it, or a log was cut
  2  wrong arguments, or refused: by the bridge, or by what the host allows
  3  not found: no such agent, container or command
  4  nobody knows how it ended; `radar audit` shows what is known
  5  the bridge cannot be reached
  6  not authorized: no key, a wrong one, or one that may not do this";

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Refused = 2,
    NotFound = 3,
    Unknown = 4,
    Unreachable = 5,
    Unauthorized = 6,
}

impl Exit {
    /// Of several things that were asked for: that of those that were not done, and `Failed` where they differ.
    pub(super) fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let mut wrong = all.into_iter().filter(|exit| *exit != Self::Done);
        match wrong.next() {
            None => Self::Done,
            Some(first) if wrong.all(|other| other == first) => first,
            Some(_) => Self::Failed,
        }
    }

    /// What the word says that a reason begins with, or the `code` of a problem; `None` when the word alone says too
    /// little.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "not-found" | "unknown-agent" => Self::NotFound,
            "policy"
            | "protected"
            | "unavailable"
            | "busy"
            | "ambiguous"
            | "unknown-command"
            | "built-in"
            | "bad-request"
            | "method"
            | "unknown-path"
            | "agent-takes-no-commands" => Self::Refused,
            "conflict" | "denied" | "agent-away" | "bridge-trouble" | "engine" => Self::Failed,
            "timed-out" | "unknown" | "no-outcome" | "interrupted" => Self::Unknown,
            "unauthorized" | "forbidden" => Self::Unauthorized,
            _ => return None,
        })
    }

    /// What the status of an answer says when its words do not.
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            200..=299 | 304 => Self::Done,
            401 => Self::Unauthorized,
            404 => Self::NotFound,
            400..=499 => Self::Refused,
            504 => Self::Unknown,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // The numbers are those of the enum.
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_code_is_what_they_share() {
        use Exit::*;
        for (all, expect) in [
            (&[][..], Done),
            (&[Done, Done], Done),
            (&[Done, NotFound, NotFound], NotFound),
            (&[Refused, Done], Refused),
            (&[Refused, NotFound], Failed),
            (&[Unknown, Failed], Failed),
        ] {
            assert_eq!(Exit::of_all(all.iter().copied()), expect, "{all:?}");
        }
    }

    #[test]
    fn words_come_before_statuses() {
        for (word, expect) in [
            ("not-found", Some(Exit::NotFound)),
            ("policy", Some(Exit::Refused)),
            ("protected", Some(Exit::Refused)),
            ("unavailable", Some(Exit::Refused)),
            ("conflict", Some(Exit::Failed)),
            ("timed-out", Some(Exit::Unknown)),
            ("interrupted", Some(Exit::Unknown)),
            ("forbidden", Some(Exit::Unauthorized)),
            ("rolled-back", None),
            ("", None),
        ] {
            assert_eq!(Exit::of_word(word), expect, "{word}");
        }
        for (status, expect) in [
            (200, Exit::Done),
            (304, Exit::Done),
            (400, Exit::Refused),
            (401, Exit::Unauthorized),
            (404, Exit::NotFound),
            (413, Exit::Refused),
            (502, Exit::Failed),
            (503, Exit::Failed),
            (504, Exit::Unknown),
        ] {
            assert_eq!(Exit::of_status(status), expect, "{status}");
        }
    }

    #[test]
    fn the_table_has_every_code() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Refused,
            Exit::NotFound,
            Exit::Unknown,
            Exit::Unreachable,
            Exit::Unauthorized,
        ] {
            assert!(TABLE.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
    }
}
