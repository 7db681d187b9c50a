//! Server-sent events out of the bytes of a body, however they are cut. Pure, and bounded: a line or an event that
//! does not end is an error, not memory.

use std::collections::VecDeque;
use std::mem;

/// The most bytes of a line, and of an event: the largest outcome of an agent fits as JSON.
pub(super) const MOST: usize = 4 << 20;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name; `message` when none is given.
    pub name: String,
    /// Its data, with line feeds between several lines.
    pub data: String,
}

/// The bytes are no stream of events, or one is too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SseError {
    #[error("the bridge sends an event of more than {MOST} bytes")]
    TooLarge,
    #[error("the bridge sends events that are not UTF-8")]
    NotText,
}

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    /// The last byte was a carriage return, so a line feed belongs to it.
    returned: bool,
    begun: bool,
    name: String,
    data: String,
    has_data: bool,
    ready: VecDeque<Event>,
}

impl Reader {
    /// Takes what has come.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        for &byte in bytes {
            let after_return = mem::take(&mut self.returned);
            match byte {
                b'\n' if after_return => {}
                b'\n' => self.end_line()?,
                b'\r' => {
                    self.returned = true;
                    self.end_line()?;
                }
                _ if self.line.len() == MOST => return Err(SseError::TooLarge),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// The next event that is whole.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) -> Result<(), SseError> {
        let bytes = mem::take(&mut self.line);
        let line = str::from_utf8(&bytes).map_err(|_| SseError::NotText)?;
        // A byte order mark may come first of all.
        let line = if mem::replace(&mut self.begun, true) { line } else { line.trim_start_matches('\u{feff}') };
        if line.is_empty() {
            self.end_event();
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.data.len() + value.len() >= MOST {
                    return Err(SseError::TooLarge);
                }
                if mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment has no field; ids and times to wait are for browsers.
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self) {
        let (name, data) = (mem::take(&mut self.name), mem::take(&mut self.data));
        if mem::take(&mut self.has_data) {
            let name = if name.is_empty() { "message".to_owned() } else { name };
            self.ready.push_back(Event { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for chunk in chunks {
            reader.feed(chunk).unwrap();
            events.extend(std::iter::from_fn(|| reader.next()).map(|event| (event.name, event.data)));
        }
        events
    }

    fn check(text: &str, expect: &[(&str, &str)]) {
        let expect: Vec<_> = expect.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
        assert_eq!(read(&[text.as_bytes()]), expect, "{text:?}");
        let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), expect, "{text:?} byte by byte");
        for at in 0..text.len() {
            let (one, other) = text.as_bytes().split_at(at);
            assert_eq!(read(&[one, other]), expect, "{text:?} cut at {at}");
        }
    }

    // PS4
    #[test]
    fn events_come_whole_however_the_bytes_are_cut() {
        check("event: log\ndata: {\"a\":1}\n\n", &[("log", "{\"a\":1}")]);
        check("event: log\r\ndata: é\r\n\r\nevent: end\r\ndata: 1\r\n\r\n", &[("log", "é"), ("end", "1")]);
        check("data: a\rdata:b\r\r", &[("message", "a\nb")]);
        check("\u{feff}data: x\n\n", &[("message", "x")]);
    }

    // PS4
    #[test]
    fn comments_and_what_has_no_data_are_no_events() {
        check(":\n\n: keep\n\ndata: 1\n: between\nid: 7\nretry: 5\n\nevent: ping\n\n", &[("message", "1")]);
        check("data\n\n", &[("message", "")]);
        check("data:  two spaces\n\n", &[("message", " two spaces")]);
    }

    #[test]
    fn an_event_that_has_not_ended_is_none() {
        check("data: 1\n", &[]);
        check("event: log\ndata: 1", &[]);
    }

    #[test]
    fn an_endless_line_and_an_endless_event_are_errors() {
        let mut reader = Reader::default();
        let piece = vec![b'x'; 1 << 20];
        let fed: Vec<_> = (0..5).map(|_| reader.feed(&piece)).collect();
        assert_eq!(fed[3], Ok(()));
        assert_eq!(fed[4], Err(SseError::TooLarge));
        assert!(reader.line.len() <= MOST);

        let mut reader = Reader::default();
        let line = format!("data: {}\n", "x".repeat(1 << 20));
        let last = (0..5).map(|_| reader.feed(line.as_bytes())).find(Result::is_err);
        assert_eq!(last, Some(Err(SseError::TooLarge)));
        assert!(reader.data.len() <= MOST);
        assert_eq!(Reader::default().feed(b"data: \xff\n"), Err(SseError::NotText));
    }
}
