//! What is told in one go: text of both streams, in order and bounded.

use radar_wire::command::LogPiece;

/// The most bytes of text in one page, with what each piece takes beside its text.
pub(super) const MOST: usize = 32 * 1024;
const BESIDE: usize = 32;

/// The longest character in UTF-8, also of one that began before.
const LONGEST: usize = 4;

/// One of a container's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// Text, as it was written.
#[derive(Default)]
pub(super) struct Page {
    pieces: Vec<(Stream, String)>,
    size: usize,
}

impl Page {
    /// Adds text; neighbours of one stream are one piece.
    pub(super) fn push(&mut self, stream: Stream, text: &str) {
        if text.is_empty() {
            return;
        }
        self.size += text.len();
        match self.pieces.last_mut() {
            Some((last, pieces)) if *last == stream => pieces.push_str(text),
            _ => {
                self.size += BESIDE;
                self.pieces.push((stream, text.to_owned()));
            }
        }
    }

    /// How many bytes it takes for sure: each may become a U+FFFD of three.
    pub(super) fn room(&self) -> usize {
        MOST.saturating_sub(self.size + BESIDE + LONGEST) / 3
    }

    pub(super) fn is_full(&self) -> bool {
        self.room() == 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn into_pieces(self) -> Vec<LogPiece> {
        let piece = |(stream, text): (Stream, String)| {
            let stream = if stream == Stream::Out { "stdout" } else { "stderr" };
            LogPiece { stream: stream.into(), text: text.into() }
        };
        self.pieces.into_iter().map(piece).collect()
    }
}
