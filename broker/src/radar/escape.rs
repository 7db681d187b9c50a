//! What a container writes, for a terminal: text and colours pass, everything else that a terminal would obey is
//! shown instead of obeyed. Sequences may be cut anywhere between two pieces.

use crate::text::is_hidden;

/// The longest colour sequence; what is longer is none.
const LONGEST: usize = 64;

/// Makes the pieces of one stream harmless.
#[derive(Debug, Default)]
pub(super) struct Escape {
    held: Held,
    coloured: bool,
}

/// What has begun and may still become something that passes.
#[derive(Debug, Default, PartialEq, Eq)]
enum Held {
    #[default]
    Nothing,
    /// A carriage return, which a line feed may follow.
    Return,
    /// The beginning of a sequence, from ESC on.
    Sequence(String),
}

impl Escape {
    /// The next piece, without what is still undecided.
    pub(super) fn feed(&mut self, text: &str) -> String {
        let mut safe = String::with_capacity(text.len());
        for c in text.chars() {
            self.take(c, &mut safe);
        }
        safe
    }

    /// What was undecided, and the end of colours that were left on.
    pub(super) fn finish(&mut self) -> String {
        let mut safe = String::new();
        self.release(&mut safe);
        if std::mem::take(&mut self.coloured) {
            safe.push_str("\u{1b}[0m");
        }
        safe
    }

    fn take(&mut self, c: char, safe: &mut String) {
        match (&mut self.held, c) {
            // The engine ends lines of a terminal so; a terminal here does it by itself.
            (Held::Return, '\n') => {
                self.held = Held::Nothing;
                safe.push('\n');
            }
            (Held::Sequence(sequence), c) if fits(sequence, c) => {
                sequence.push(c);
                if c == 'm' {
                    safe.push_str(sequence);
                    self.held = Held::Nothing;
                    self.coloured = true;
                }
            }
            (Held::Nothing, c) => match c {
                '\r' => self.held = Held::Return,
                '\u{1b}' => self.held = Held::Sequence(c.to_string()),
                c => show(c, safe),
            },
            (_, c) => {
                self.release(safe);
                self.take(c, safe);
            }
        }
    }

    fn release(&mut self, safe: &mut String) {
        match std::mem::take(&mut self.held) {
            Held::Nothing => {}
            Held::Return => show('\r', safe),
            Held::Sequence(sequence) => sequence.chars().for_each(|c| show(c, safe)),
        }
    }
}

/// Whether the character goes on with a sequence that sets colours: `ESC [ numbers m`.
fn fits(sequence: &str, c: char) -> bool {
    if sequence.len() == 1 {
        return c == '[';
    }
    sequence.len() < LONGEST && (c == 'm' || c == ';' || c == ':' || c.is_ascii_digit())
}

fn show(c: char, safe: &mut String) {
    match c {
        '\n' | '\t' => safe.push(c),
        '\0'..='\u{1f}' => {
            safe.push('^');
            // The letter of the key: 0x1b is ^[.
            safe.push(char::from(u8::try_from(c).unwrap_or_default() + b'@'));
        }
        '\u{7f}' => safe.push_str("^?"),
        c if c.is_control() || is_hidden(c) => safe.push_str(&format!("<U+{:04X}>", u32::from(c))),
        c => safe.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let mut whole = Escape::default();
        assert_eq!(whole.feed(text) + &whole.finish(), expect, "{text:?}");
        let mut parts = Escape::default();
        let mut safe: String = text.chars().map(|c| parts.feed(&c.to_string())).collect();
        safe.push_str(&parts.finish());
        assert_eq!(safe, expect, "{text:?} in pieces");
    }

    // E13
    #[test]
    fn text_and_colours_pass_and_nothing_else() {
        for (text, expect) in [
            ("a\tb\nc", "a\tb\nc"),
            ("é → 😀", "é → 😀"),
            ("one\r\ntwo\r\n", "one\ntwo\n"),
            ("10%\r20%", "10%^M20%"),
            ("\r\r\n", "^M\n"),
            ("a\u{8}b\u{7}", "a^Hb^G"),
            ("\u{1b}[2J", "^[[2J"),
            ("\u{1b}]0;title\u{7}", "^[]0;title^G"),
            ("\u{1b}]52;c;cm0=\u{1b}\\", "^[]52;c;cm0=^[\\"),
            ("\u{1b}[?25l", "^[[?25l"),
            ("\u{1b}[2Jm", "^[[2Jm"),
            ("\u{1b}[?25m", "^[[?25m"),
            ("\u{1b}c", "^[c"),
            ("\u{1b}\u{1b}[31mx", "^[\u{1b}[31mx\u{1b}[0m"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m\u{1b}[0m"),
            ("\u{1b}[38:2:1:2:3mx", "\u{1b}[38:2:1:2:3mx\u{1b}[0m"),
            ("\u{1b}[31", "^[[31"),
            ("\u{1b}[31\r\n", "^[[31\n"),
            ("\u{9b}2J\u{7f}\u{202e}", "<U+009B>2J^?<U+202E>"),
            ("\0", "^@"),
        ] {
            check(text, expect);
        }
    }

    #[test]
    fn an_endless_sequence_is_not_held() {
        let mut escape = Escape::default();
        let safe = escape.feed(&format!("\u{1b}[{}", "1;".repeat(10_000)));
        assert!(safe.len() > 19_000, "{}", safe.len());
    }
}
