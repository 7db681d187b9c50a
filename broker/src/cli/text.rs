//! Text for a terminal: what hosts call themselves and their containers is foreign, and may be anything.

use std::fmt::Write as _;

/// The text without anything that a terminal would obey, and not endless.
pub(super) fn plain(text: &str) -> String {
    const MOST: usize = 128;
    let mut plain: String =
        text.chars().take(MOST).map(|c| if c.is_control() || is_hidden(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        plain.push('…');
    }
    plain
}

/// As [`plain`], for a text of several lines, which is as long as it is.
pub(super) fn lines(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && (c.is_control() || is_hidden(c)) { '\u{fffd}' } else { c }).collect()
}

/// Marks that turn the direction of what follows.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Rows below a head, in aligned columns; the last one is as wide as it is.
pub(super) fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(|column| if column + 1 < N { width(column) } else { 0 });
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let mut row = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(row, "{cell:width$}  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    line(head);
    for row in rows {
        line(row.each_ref().map(String::as_str));
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
    fn a_long_text_is_cut() {
        assert_eq!(plain(&"é".repeat(200)).chars().count(), 129);
        assert_eq!(plain("web-1"), "web-1");
    }
}
