//! Streams as the engine tells them and as the broker takes them.

use ciborium::Value;

use super::pace::{BURST, RATE};
use super::*;
use crate::engine::act::ActErrorKind;

const FOLLOW: Asked = Asked { follow: true, limit: None };
const WHOLE: Asked = Asked { follow: false, limit: None };

fn piece(stream: &str, text: &str) -> LogPiece {
    LogPiece { stream: stream.into(), text: text.into() }
}

fn done() -> Result<Done, ActError> {
    Ok(Done { needed: false, result: None })
}

/// Streams, an engine that tells when it may, and a broker that answers when it is told to.
struct Desk {
    streams: Streams,
    now: Duration,
    chunks: Vec<(u64, LogChunk)>,
    said: Vec<String>,
}

impl Desk {
    fn new() -> Self {
        Self { streams: Streams::new(), now: Duration::from_secs(100), chunks: Vec::new(), said: Vec::new() }
    }

    /// With one stream, whose ticket is 1.
    fn with(asked: Asked) -> Self {
        let mut desk = Self::new();
        desk.streams.open(1, "01-1".into(), asked, desk.now);
        desk
    }

    fn tell(&mut self, ticket: u64, text: &str) {
        self.streams.handle_told(ticket, vec![piece("stdout", text)]);
        self.settle();
    }

    fn deliver(&mut self, ticket: u64, outcome: Delivery) {
        self.streams.handle_delivered(ticket, outcome, self.now);
        self.settle();
    }

    fn accept(&mut self) {
        self.deliver(1, Delivery::Accepted);
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.streams.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let (said, chunks) = (self.said.len(), self.chunks.len());
            self.streams.handle_timeout(self.now);
            self.settle();
            let moved = self.streams.poll_timeout().is_none_or(|next| next > due);
            assert!(moved || self.said.len() > said || self.chunks.len() > chunks, "a timeout without end");
        }
        self.now = until;
    }

    fn settle(&mut self) {
        loop {
            if let Some(effect) = self.streams.next_effect() {
                self.said.push(match effect {
                    Effect::More { ticket } => format!("more {ticket}"),
                    Effect::Cancel { ticket } => format!("cancel {ticket}"),
                    Effect::Ended { jti, state, reason, result } => {
                        let reason = reason.unwrap_or_default();
                        let word = reason.split(':').next().unwrap_or_default();
                        format!("{jti} {} [{}] {word}", state.as_str(), words(&result)).trim_end().to_owned()
                    }
                });
            } else if let Some(chunk) = self.streams.next_chunk(self.now) {
                let read: LogChunk = codec::decode(None, &chunk.bytes).unwrap();
                let text: String = read.pieces.iter().map(|piece| &*piece.text).collect();
                let text = if text.len() > 20 { format!("{} bytes", text.len()) } else { format!("{text:?}") };
                let end = read.end.as_ref().map(|end| format!(" {end}")).unwrap_or_default();
                self.said.push(format!("{} {}: {text}{end}", chunk.channel, read.number));
                self.chunks.push((chunk.ticket, read));
            } else {
                break;
            }
        }
    }

    fn said(&mut self) -> Vec<String> {
        self.settle();
        std::mem::take(&mut self.said)
    }

    fn text(&self) -> String {
        self.chunks.iter().flat_map(|(_, chunk)| &chunk.pieces).map(|piece| &*piece.text).collect()
    }
}

fn words(result: &Value) -> String {
    let value = |value: &Value| match value {
        Value::Integer(number) => i128::from(*number).to_string(),
        other => other.as_text().unwrap_or_default().to_owned(),
    };
    let map = result.as_map().unwrap();
    map.iter().map(|(key, of)| format!("{} {}", key.as_text().unwrap(), value(of))).collect::<Vec<_>>().join(", ")
}

// DM5, PS5
#[test]
fn a_log_goes_in_numbered_chunks_each_after_the_last_has_arrived() {
    let mut desk = Desk::with(WHOLE);
    assert!(desk.said().is_empty());
    desk.streams.handle_told(1, vec![piece("stdout", "a\n"), piece("stderr", "b\n")]);
    assert_eq!(desk.said(), [r#"log/01-1 0: "a\nb\n""#]);
    assert_eq!(desk.chunks[0].1.pieces, [piece("stdout", "a\n"), piece("stderr", "b\n")]);
    desk.wait(Duration::from_secs(100));
    assert!(desk.said().is_empty(), "it waits for the broker");
    desk.accept();
    assert_eq!(desk.said(), ["more 1"]);
    desk.tell(1, "é\n");
    desk.streams.handle_acted(1, &done());
    assert_eq!(desk.said(), [r#"log/01-1 1: "é\n""#]);
    desk.accept();
    assert_eq!(desk.said(), [r#"log/01-1 2: "" end"#]);
    desk.accept();
    assert_eq!(desk.said(), ["01-1 succeeded [chunks 3, bytes 7, end end]"]);
    assert_eq!((desk.streams.len(), desk.streams.poll_timeout()), (0, None));
}

// PS4
#[test]
fn each_end_has_its_word_and_its_outcome() {
    let failed = |kind, text: &str| Err(ActError { kind, text: text.into() });
    type Happens<'a> = &'a dyn Fn(&mut Desk);
    let table: [(Asked, Happens, &[&str]); 11] = [
        (
            WHOLE,
            &|desk| _ = desk.streams.handle_acted(1, &done()),
            &["0:  end", "succeeded [chunks 1, bytes 0, end end]"],
        ),
        (
            FOLLOW,
            &|desk| _ = desk.streams.handle_acted(1, &failed(ActErrorKind::NotFound, "No such container")),
            &["0:  engine: No such container", "failed [chunks 1, bytes 0, end engine: No such container] not-found"],
        ),
        (
            FOLLOW,
            &|desk| assert!(desk.streams.cancel("01-1") && !desk.streams.cancel("01-2")),
            &["cancel 1", "0:  cancelled", "succeeded [chunks 1, bytes 0, end cancelled] cancelled"],
        ),
        (
            FOLLOW,
            &|desk| {
                for _ in 0..179 {
                    desk.wait(SILENCE);
                    desk.accept();
                }
                desk.said();
                desk.chunks.clear();
                desk.wait(SILENCE);
            },
            &["cancel 1", "179:  hour", "succeeded [chunks 180, bytes 0, end hour] cut"],
        ),
        (
            Asked { limit: Some(3), ..WHOLE },
            &|desk| desk.tell(1, "aéé"),
            &["cancel 1", "0: aé limit", "succeeded [chunks 1, bytes 3, end limit] cut"],
        ),
        (
            FOLLOW,
            &|desk| {
                desk.tell(1, "a");
                desk.said();
                desk.deliver(1, Delivery::NoSubscriber);
            },
            &["cancel 1", "succeeded [chunks 0, bytes 0, end nobody listens] ended"],
        ),
        (
            WHOLE,
            &|desk| {
                desk.streams.handle_acted(1, &done());
                desk.said();
                desk.deliver(1, Delivery::NoSubscriber);
            },
            &["failed [chunks 0, bytes 0, end nobody listens] nobody-listens"],
        ),
        (
            WHOLE,
            &|desk| {
                desk.tell(1, "a");
                desk.said();
                desk.deliver(1, Delivery::Refused("not authorized".to_owned()));
            },
            &["cancel 1", "failed [chunks 0, bytes 0, end refused] refused"],
        ),
        (
            FOLLOW,
            &|desk| {
                desk.tell(1, "a");
                desk.said();
                desk.streams.handle_away();
            },
            &["cancel 1", "failed [chunks 0, bytes 0, end link lost] interrupted"],
        ),
        (
            FOLLOW,
            &|desk| desk.streams.handle_stop(),
            &["cancel 1", "0:  stopped", "failed [chunks 1, bytes 0, end stopped] interrupted"],
        ),
        (
            WHOLE,
            &|desk| {
                desk.streams.handle_connected(Some(1500));
                desk.tell(1, "a");
            },
            &["cancel 1", "failed [chunks 0, bytes 0, end too-large] too-large"],
        ),
    ];
    for (asked, happens, expect) in table {
        let mut desk = Desk::with(asked);
        happens(&mut desk);
        let mut said = desk.said();
        if desk.streams.len() > 0 {
            desk.accept();
            said.extend(desk.said());
        }
        let plain = |line: &String| line.replace("log/01-1 ", "").replace("01-1 ", "").replace('"', "");
        assert_eq!(said.iter().map(plain).collect::<Vec<_>>(), expect);
        assert_eq!(desk.streams.len(), 0);
        // What the engine still says of it is nobody's business any more.
        desk.tell(1, "late");
        assert!(!desk.streams.handle_acted(1, &done()) && desk.said().is_empty());
    }
}

// PS4
#[test]
fn what_was_told_before_the_end_is_still_published() {
    let mut desk = Desk::with(FOLLOW);
    desk.tell(1, "a");
    assert!(desk.streams.cancel("01-1") && desk.streams.cancel("01-1"));
    assert_eq!(desk.said(), [r#"log/01-1 0: "a""#, "cancel 1"]);
    desk.accept();
    assert_eq!(desk.said(), [r#"log/01-1 1: "" cancelled"#]);
    // Who has gone after asking for the end need not be told.
    desk.deliver(1, Delivery::NoSubscriber);
    assert_eq!(desk.said(), ["01-1 succeeded [chunks 2, bytes 1, end cancelled] cancelled"]);
}

// PS5
#[test]
fn a_limit_is_exact_over_chunks() {
    for (limit, expect) in [(0, ""), (1, "a"), (4, "abéc"), (5, "abéc"), (6, "abéc€"), (7, "abéc€"), (8, "abéc€d")]
    {
        let mut desk = Desk::with(Asked { limit: Some(limit), ..FOLLOW });
        for text in ["a", "bé", "c€", "d", "e"] {
            desk.tell(1, text);
            desk.accept();
        }
        let end = desk.chunks.last().unwrap().1.end.clone();
        let expect = &expect[..expect.floor_char_boundary(usize::try_from(limit).unwrap())];
        assert_eq!((desk.text().as_str(), end.as_deref()), (expect, Some("limit")), "{limit}");
        assert_eq!(desk.streams.len(), 0);
    }
}

// PS4
#[test]
fn a_silent_stream_shows_that_it_is_alive_and_notices_that_nobody_listens() {
    let mut desk = Desk::with(FOLLOW);
    desk.wait(SILENCE - Duration::from_millis(1));
    assert!(desk.said().is_empty());
    desk.wait(Duration::from_millis(1));
    assert_eq!(desk.said(), [r#"log/01-1 0: """#]);
    // The engine may tell meanwhile: it was never told to wait.
    desk.tell(1, "a");
    assert!(desk.said().is_empty());
    desk.accept();
    assert_eq!(desk.said(), [r#"log/01-1 1: "a""#]);
    desk.accept();
    assert_eq!(desk.said(), ["more 1"]);
    desk.wait(SILENCE);
    desk.deliver(1, Delivery::NoSubscriber);
    assert_eq!(
        desk.said(),
        [r#"log/01-1 2: """#, "cancel 1", "01-1 succeeded [chunks 2, bytes 1, end nobody listens] ended"]
    );
    let mut whole = Desk::with(WHOLE);
    assert_eq!(whole.streams.poll_timeout(), None);
    whole.wait(Duration::from_secs(10_000));
    assert!(whole.said().is_empty(), "an engine that takes its time is the engine's business");
}

/// A container that always has more; how much has gone through in this time.
fn pour(desk: &mut Desk, time: Duration) -> u64 {
    let (until, mut poured) = (desk.now + time, 0);
    let text = "x".repeat(32 * 1024);
    while desk.now < until && desk.streams.len() > 0 {
        desk.tell(1, &text);
        while desk.said().iter().any(|said| said.starts_with("log/")) {
            poured += text.len() as u64;
            desk.accept();
        }
        if let Some(due) = desk.streams.poll_timeout().filter(|due| *due < desk.now + SILENCE) {
            desk.wait(due.saturating_sub(desk.now));
        }
    }
    poured
}

// PS5
#[test]
fn a_download_goes_at_the_pace_and_is_never_cut() {
    let mut desk = Desk::with(WHOLE);
    let poured = pour(&mut desk, Duration::from_secs(100));
    let expect = BURST + 100 * RATE;
    assert!(poured.abs_diff(expect) < expect / 100, "{poured} bytes");
    assert_eq!(desk.streams.len(), 1);
}

// PS4
#[test]
fn a_firehose_is_cut_and_says_so() {
    let mut desk = Desk::with(FOLLOW);
    let poured = pour(&mut desk, Duration::from_secs(100));
    let expect = BURST + 10 * RATE;
    assert!(poured.abs_diff(expect) < expect / 50, "{poured} bytes");
    assert_eq!(desk.chunks.last().unwrap().1.end.as_deref(), Some("firehose"));
    assert_eq!(desk.streams.len(), 0);
    // One on a machine that is busy now and then is none the less one.
    let mut desk = Desk::with(FOLLOW);
    for _ in 0..20 {
        pour(&mut desk, Duration::from_secs(1));
        desk.wait(Duration::from_millis(300));
    }
    assert_eq!(desk.streams.len(), 0);
    let (state, reason) = End::Firehose.outcome(FOLLOW);
    assert!(state == Progress::Succeeded && reason.unwrap().starts_with("cut: "));
}

// PS4
#[test]
fn a_container_that_pauses_is_no_firehose() {
    let mut desk = Desk::with(FOLLOW);
    for _ in 0..50 {
        pour(&mut desk, Duration::from_secs(9));
        desk.wait(Duration::from_secs(9));
        assert_eq!(desk.streams.len(), 1);
    }
    // Neither is one that writes as fast as the pace is, for an hour.
    let mut desk = Desk::with(FOLLOW);
    let text = "x".repeat(16 * 1024);
    for _ in 0..1000 {
        desk.tell(1, &text);
        desk.accept();
        desk.wait(Duration::from_millis(20));
    }
    assert!(desk.said().iter().all(|said| !said.contains("firehose")));
}

// PS4, PS5
#[test]
fn what_was_not_taken_goes_again_as_it_was() {
    let mut desk = Desk::with(WHOLE);
    desk.tell(1, "a");
    desk.said();
    desk.streams.handle_not_taken(1);
    assert_eq!(desk.said(), [r#"log/01-1 0: "a""#]);
    desk.accept();
    assert_eq!(desk.said(), ["more 1"]);
    desk.streams.handle_not_taken(1);
    assert!(desk.said().is_empty());
}

// PS5
#[test]
fn a_broker_with_small_packets_gets_more_chunks() {
    let mut desk = Desk::with(WHOLE);
    desk.streams.handle_connected(Some(4096));
    let lines: Vec<_> = (0..200).map(|n| piece(["stdout", "stderr"][n % 2], &format!("€€€ {n}\n"))).collect();
    let long = "€".repeat(10_000);
    let all: String = lines.iter().map(|piece| &*piece.text).chain([long.as_str()]).collect();
    desk.streams.handle_told(1, lines);
    desk.streams.handle_told(1, vec![piece("stdout", &long)]);
    for _ in 0..100 {
        desk.accept();
    }
    assert_eq!(desk.text(), all);
    assert!(desk.chunks.iter().map(|(_, chunk)| chunk.number).eq(0..desk.chunks.len() as u64));
    let size = |chunk: &LogChunk| codec::encode(chunk).unwrap().bytes.len();
    let largest = desk.chunks.iter().map(|(_, chunk)| size(chunk)).max().unwrap();
    assert!((2000..4096 - AROUND / 2).contains(&largest), "{largest}");
    assert_eq!(
        desk.said.iter().filter(|said| said.starts_with("more")).count(),
        1,
        "more is asked for after all of it"
    );
}

// PS4
#[test]
fn streams_are_beside_each_other() {
    let mut desk = Desk::new();
    for ticket in 1..=4 {
        desk.streams.open(ticket, format!("01-{ticket}").into(), FOLLOW, desk.now);
        desk.tell(ticket, "a");
    }
    assert_eq!(desk.said().len(), 4);
    desk.deliver(3, Delivery::Accepted);
    desk.deliver(2, Delivery::NoSubscriber);
    assert_eq!(desk.said(), ["more 3", "cancel 2", "01-2 succeeded [chunks 0, bytes 0, end nobody listens] ended"]);
    desk.streams.handle_away();
    let said = desk.said();
    assert_eq!((said.len(), desk.streams.len()), (6, 0), "{said:?}");
}
