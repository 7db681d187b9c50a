//! Text for a terminal, of both programs: what hosts call themselves and their containers is foreign, and may be
//! anything.

use std::fmt::Write as _;

use serde::Serialize;

/// The text without anything that a terminal would obey, and not endless.
pub(crate) fn plain(text: &str) -> String {
    const MOST: usize = 128;
    let mut plain: String =
        text.chars().take(MOST).map(|c| if c.is_control() || is_hidden(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        plain.push('…');
    }
    plain
}

/// As [`plain`], for a text of several lines, which is as long as it is.
pub(crate) fn lines(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && (c.is_control() || is_hidden(c)) { '\u{fffd}' } else { c }).collect()
}

/// A value as JSON in one line, with escapes for what a terminal would obey and JSON does not escape by itself.
pub(crate) fn json(value: &impl Serialize) -> String {
    let line = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    escaped(&line)
}

/// As [`json`], in as many lines as it takes.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".to_owned());
    escaped(&text)
}

fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && (c.is_control() || is_hidden(c)) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Marks that turn the direction of what follows.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Rows below a head, in aligned columns; the last one is as wide as it is.
pub(crate) fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    table(&head, rows)
}

/// As [`columns`], of a number that is not known before; a row that is shorter than the head ends early.
pub(crate) fn table<R: AsRef<[String]>>(head: &[&str], rows: &[R]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| Some(row.as_ref().get(column)?.chars().count()));
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let last = head.len().saturating_sub(1);
    let widths: Vec<usize> = (0..head.len()).map(|column| if column < last { width(column) } else { 0 }).collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut row = String::new();
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(row, "{cell:width$}  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.as_ref().iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let text = columns(["A", "BEE", "C"], &[row(["one", "2", "x y"]), row(["ö", "", ""])]);
        assert_eq!(text, "A    BEE  C\none  2    x y\nö\n");
    }

    #[test]
    fn a_row_may_be_shorter_than_the_head() {
        assert_eq!(table(&["A", "B"], &[vec!["x".to_owned()], vec![]]), "A  B\nx\n\n");
    }

    // E13
    #[test]
    fn json_cannot_drive_the_terminal_either() {
        let text = json(&["a\u{1b}[2J", "\u{9b}\u{7f}\u{202e}é"]);
        assert_eq!(text, r#"["a\u001b[2J","\u009b\u007f\u202eé"]"#);
        assert_eq!(serde_json::from_str::<[String; 2]>(&text).unwrap()[1], "\u{9b}\u{7f}\u{202e}é");
        assert_eq!(pretty(&["\u{9b}"]), "[\n  \"\\u009b\"\n]");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(plain(&"é".repeat(200)).chars().count(), 129);
        assert_eq!(plain("web-1"), "web-1");
    }
}
