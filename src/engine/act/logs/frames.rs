//! Bytes of a log in, text out: the frames, the characters that are cut by them, and the engine's times in the middle
//! of lines. Takes bytes in any portions.

use super::super::super::record::cut_to;
use super::super::call::LONGEST_TEXT;
use super::super::{ActError, ActErrorKind};
use super::page::{Page, Stream};

const HEADER: usize = 8;

/// Where in a log the reading is.
pub(super) struct Frames {
    /// A terminal's output has no frames.
    terminal: bool,
    timestamps: bool,
    header: [u8; HEADER],
    /// How many bytes of the header are there.
    have: usize,
    /// How many bytes of the frame are still to come, and whose they are.
    left: usize,
    source: Source,
    /// The frame goes on with a line, and begins with the time of that part, which is left away.
    dating: bool,
    out: Text,
    err: Text,
    /// What the engine has to say instead of a log.
    said: Vec<u8>,
    failed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Container(Stream),
    Engine,
}

impl Frames {
    pub(super) fn new(terminal: bool, timestamps: bool) -> Self {
        Self {
            terminal,
            timestamps,
            header: [0; HEADER],
            have: 0,
            left: 0,
            source: Source::Container(Stream::Out),
            dating: false,
            out: Text::default(),
            err: Text::default(),
            said: Vec::new(),
            failed: false,
        }
    }

    /// Reads on until the page is full; returns how many bytes it has taken.
    pub(super) fn read(&mut self, bytes: &[u8], page: &mut Page) -> usize {
        let mut read = 0;
        while read < bytes.len() && !page.is_full() && !self.failed {
            let rest = &bytes[read..];
            read += if self.terminal {
                let part = &rest[..rest.len().min(page.room())];
                self.out.read(part, Stream::Out, page);
                part.len()
            } else if self.left == 0 {
                self.begin(rest)
            } else {
                let part = &rest[..rest.len().min(page.room()).min(self.left)];
                self.part(part, page);
                part.len()
            };
        }
        read
    }

    /// What ends the log before its end.
    pub(super) fn failure(&self) -> Option<ActError> {
        let said = String::from_utf8_lossy(&self.said);
        let text = if said.trim().is_empty() { "the engine's log is not in frames" } else { said.trim() };
        self.failed.then(|| ActError { kind: ActErrorKind::Engine, text: cut_to(text, LONGEST_TEXT) })
    }

    /// Nothing follows: a character that has begun will not be whole.
    pub(super) fn finish(&mut self, page: &mut Page) {
        self.out.finish(Stream::Out, page);
        self.err.finish(Stream::Err, page);
    }

    /// Reads of a frame's header; the stream, three bytes that mean nothing, and the length.
    fn begin(&mut self, rest: &[u8]) -> usize {
        let part = &rest[..rest.len().min(HEADER - self.have)];
        self.header[self.have..self.have + part.len()].copy_from_slice(part);
        self.have += part.len();
        if self.have == HEADER {
            self.have = 0;
            let [source, _, _, _, length @ ..] = self.header;
            self.left = u32::from_be_bytes(length) as usize;
            match source {
                0 | 1 => self.source = Source::Container(Stream::Out),
                2 => self.source = Source::Container(Stream::Err),
                3 => self.source = Source::Engine,
                _ => self.failed = true,
            }
            let in_line = match self.source {
                Source::Container(Stream::Out) => self.out.in_line,
                Source::Container(Stream::Err) => self.err.in_line,
                Source::Engine => false,
            };
            self.dating = self.timestamps && in_line;
        }
        part.len()
    }

    fn part(&mut self, part: &[u8], page: &mut Page) {
        self.left -= part.len();
        let mut text = part;
        if self.dating {
            let end = part.iter().position(|byte| *byte == b' ');
            self.dating = end.is_none();
            text = end.map_or(&[], |end| &part[end + 1..]);
        }
        match self.source {
            Source::Container(Stream::Out) => self.out.read(text, Stream::Out, page),
            Source::Container(Stream::Err) => self.err.read(text, Stream::Err, page),
            Source::Engine => {
                let room = LONGEST_TEXT.saturating_sub(self.said.len());
                self.said.extend_from_slice(&text[..text.len().min(room)]);
                self.failed = self.left == 0;
            }
        }
    }
}

/// The text of one stream.
#[derive(Default)]
struct Text {
    /// A character that has begun, and how many bytes of it are there.
    begun: [u8; 4],
    have: usize,
    /// The last line has not ended.
    in_line: bool,
}

impl Text {
    fn read(&mut self, bytes: &[u8], stream: Stream, page: &mut Page) {
        let Some(last) = bytes.last() else { return };
        self.in_line = *last != b'\n';
        let mut rest = bytes;
        while self.have > 0 {
            let Some((byte, after)) = rest.split_first() else { return };
            self.begun[self.have] = *byte;
            match std::str::from_utf8(&self.begun[..=self.have]) {
                Ok(character) => {
                    page.push(stream, character);
                    self.have = 0;
                    rest = after;
                }
                Err(error) if error.error_len().is_none() => {
                    self.have += 1;
                    rest = after;
                }
                // It was none, and this byte begins something else.
                Err(_) => self.finish(stream, page),
            }
        }
        let mut left = rest.len();
        for chunk in rest.utf8_chunks() {
            let odd = chunk.invalid();
            page.push(stream, chunk.valid());
            left -= chunk.valid().len() + odd.len();
            let cut = || std::str::from_utf8(odd).is_err_and(|error| error.error_len().is_none());
            if left == 0 && cut() {
                self.begun[..odd.len()].copy_from_slice(odd);
                self.have = odd.len();
            } else if !odd.is_empty() {
                page.push(stream, "\u{fffd}");
            }
        }
    }

    fn finish(&mut self, stream: Stream, page: &mut Page) {
        if std::mem::take(&mut self.have) > 0 {
            page.push(stream, "\u{fffd}");
        }
    }
}

#[cfg(test)]
mod tests {
    use radar_wire::codec;
    use radar_wire::command::{LogChunk, LogPiece};

    use super::super::page::MOST;
    use super::*;

    fn frame(source: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[source, 0, 0, 0][..], &length, text].concat()
    }

    /// Reads bytes in portions of this size; the pages.
    fn pages(frames: &mut Frames, bytes: &[u8], portion: usize) -> Vec<Vec<LogPiece>> {
        let mut pages = vec![Page::default()];
        for mut part in bytes.chunks(portion) {
            while !part.is_empty() && frames.failure().is_none() {
                if pages.last().unwrap().is_full() {
                    pages.push(Page::default());
                }
                part = &part[frames.read(part, pages.last_mut().unwrap())..];
            }
        }
        frames.finish(pages.last_mut().unwrap());
        pages.into_iter().map(Page::into_pieces).collect()
    }

    /// The text of all, with `!` before what is of `stderr`.
    fn text(pages: &[Vec<LogPiece>]) -> String {
        let piece = |piece: &LogPiece| match &*piece.stream {
            "stdout" => piece.text.to_string(),
            "stderr" => format!("!{}", piece.text),
            other => panic!("{other}"),
        };
        pages.iter().flatten().map(piece).collect()
    }

    // DM5, PS4
    #[test]
    fn frames_and_characters_are_the_same_in_all_portions() {
        let bytes = [
            frame(1, b"one\n"),
            frame(1, b"h\xc3"),
            frame(2, b"e\xe2\x82"),
            frame(1, b""),
            frame(1, b"\xa9\n"),
            frame(2, b"\xac \xf0\x9f\x98\x80\n"),
            frame(1, b"\xff \xe2\x28 \xc3"),
            frame(2, b"\n"),
            frame(1, b"\xc3\xa9 \xf0\x9f"),
        ]
        .concat();
        for portion in 1..bytes.len() {
            let pages = pages(&mut Frames::new(false, false), &bytes, portion);
            let expect = "one\nh!eé\n!€ 😀\n\u{fffd} \u{fffd}( !\n\u{fffd}é \u{fffd}";
            assert_eq!(text(&pages), expect, "in portions of {portion}");
        }
        let joined = pages(&mut Frames::new(false, false), &[frame(1, b"a\n"), frame(1, b"b\n")].concat(), 100);
        assert_eq!(joined[0].len(), 1, "neighbours are one piece");
    }

    // DM5, PS4
    #[test]
    fn what_a_terminal_shows_is_taken_as_it_is() {
        let bytes = b"\x01\x02\0\0\xff\xff\xff\xff$ \r\n\0\x02\xc3\xa9\x1b[1m\r\n";
        for portion in 1..bytes.len() {
            let pages = pages(&mut Frames::new(true, false), bytes, portion);
            let expect = "\x01\x02\0\0\u{fffd}\u{fffd}\u{fffd}\u{fffd}$ \r\n\0\x02é\x1b[1m\r\n";
            assert_eq!(text(&pages), expect, "in portions of {portion}");
        }
    }

    // DM5
    #[test]
    fn a_line_has_one_time_also_when_the_engine_has_it_in_parts() {
        let bytes = [
            frame(1, b"2024-01-01T00:00:00.000000001Z a b "),
            frame(2, b"2024-01-01T00:00:00.000000002Z other\n"),
            frame(1, b"2024-01-01T00:00:00.000000003Z c d\n"),
            frame(1, b"2024-01-01T00:00:00.000000004Z e\n"),
        ]
        .concat();
        for portion in [1, 7, 1000] {
            let told = text(&pages(&mut Frames::new(false, true), &bytes, portion));
            let expect = "2024-01-01T00:00:00.000000001Z a b !2024-01-01T00:00:00.000000002Z other\nc d\n\
                          2024-01-01T00:00:00.000000004Z e\n";
            assert_eq!(told, expect);
        }
    }

    // PS4
    #[test]
    fn no_page_is_larger_than_a_chunk_whatever_is_written() {
        let lines: Vec<u8> = (0..20_000).flat_map(|n| frame(1 + u8::from(n % 2 == 0), b"\n")).collect();
        let odd = frame(1, &vec![0xff; 200_000]);
        let long = frame(2, "€".repeat(100_000).as_bytes());
        for (bytes, most_pieces) in [(lines, 1000), (odd, 1), (long, 1)] {
            let pages = pages(&mut Frames::new(false, false), &bytes, 9999);
            assert!(pages.len() > 2);
            for (at, pieces) in pages.iter().enumerate() {
                let size: usize = pieces.iter().map(|piece| piece.text.len()).sum();
                assert!(size <= MOST && pieces.len() <= most_pieces, "{size} bytes, {} pieces", pieces.len());
                let filled = size + pieces.len() * 32;
                assert!(filled > MOST - 200 || at + 1 == pages.len(), "page {at} has {filled} bytes only");
                let chunk = LogChunk { number: u64::MAX, pieces: pieces.clone(), end: None };
                assert!(codec::encode(&chunk).is_ok());
            }
        }
    }

    // PS4
    #[test]
    fn what_the_engine_itself_says_ends_the_log() {
        let bytes = [frame(1, b"a\n"), frame(3, b"Error grabbing logs: unexpected EOF\n"), frame(1, b"b\n")].concat();
        for portion in [1, 1000] {
            let mut frames = Frames::new(false, false);
            assert_eq!(text(&pages(&mut frames, &bytes, portion)), "a\n");
            assert_eq!(&*frames.failure().unwrap().text, "Error grabbing logs: unexpected EOF");
        }
        let mut frames = Frames::new(false, false);
        assert_eq!(text(&pages(&mut frames, b"What is this?", 5)), "");
        assert_eq!(&*frames.failure().unwrap().text, "the engine's log is not in frames");
        assert!(Frames::new(false, false).failure().is_none());
    }
}
