//! Where things are printed, and who reads them there.

use std::io::{self, Write};

use serde::Serialize;

use super::failure::Failure;
use crate::text;

/// Standard output and standard error.
pub(super) struct Screen<'a> {
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    /// Whether they are terminals.
    pub terminal: Terminals,
    /// JSON instead of what people read.
    pub json: bool,
    /// Reads a line that somebody types.
    pub typed: fn() -> io::Result<String>,
}

/// What of the three is a terminal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terminals {
    pub input: bool,
    pub out: bool,
    pub err: bool,
}

impl Screen<'_> {
    /// Prints text as it is; it is harmless already.
    pub(super) fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// Prints a document, or one object of many, in one line.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.print(&(text::json(value) + "\n"))
    }

    /// Says something beside the output. Nobody to say it to is no failure.
    pub(super) fn note(&mut self, note: &str) {
        let _ = writeln!(self.err, "radar: {note}");
    }

    /// Says why something was not done, unless it is only that nobody reads on.
    pub(super) fn complain(&mut self, failure: &Failure) {
        if !failure.is_closed() {
            self.note(&text::lines(&failure.to_string()));
        }
    }
}
