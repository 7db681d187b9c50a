//! The log of a container, as it comes from its agent: events, or text that is whole or breaks off.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;
use bytes::Bytes;
use radar_wire::command::{Command, LogPiece};
use serde_json::json;

use super::Api;
use super::call::Call;
use super::problem::Problem;
use super::streaming::{Place, Source, Turn, beat, body, events, frame, turn};
use crate::asking::Followed;
use crate::commanding::State;
use crate::following::{Item, Kind};

/// How long after it was taken a command may turn out to be impossible before the answer begins: then it can still be
/// said by a status.
const SECOND_THOUGHTS: Duration = Duration::from_millis(500);

pub(super) async fn tell(api: Api, call: Call) -> Result<Response, Problem> {
    let now = api.clock.now().wall;
    let stream = call.text("stream");
    if stream.as_deref().is_some_and(|stream| !["stdout", "stderr"].contains(&stream)) {
        return Err(Problem::bad_request("`stream` is stdout or stderr"));
    }
    let container = call.part("container");
    let command = Command::Logs {
        container: container.clone(),
        tail: call.small("tail")?,
        since: call.moment("since", now)?,
        until: call.moment("until", now)?,
        timestamps: call.flag("timestamps", false),
        follow: call.flag("follow", false),
        limit: call.number("limit"),
    };
    let limited = call.number("limit").is_some();
    let place = api.place()?;
    let (jti, mut followed) = api.follow(call.order(command)?, Kind::Log).await?;
    let begun = begin(&api, &mut followed, &jti).await?;
    let log = Log { api, begun, followed, stream, limited, over: false, _place: place };
    if call.events {
        return Ok(events(Events(log)));
    }
    let mut response = Response::new(body(Text(log)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if call.flag("download", false)
        && let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{}.log\"", file(&container)))
    {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// A name for a file that no system takes for something else.
fn file(container: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    container.trim_start_matches('.').chars().take(100).map(plain).collect()
}

/// Waits until the log begins, or for why it does not.
async fn begin(api: &Api, followed: &mut Followed, jti: &str) -> Result<VecDeque<Item>, Problem> {
    let stopping = || Problem::trouble("the bridge is stopping").of(jti);
    let next = async |followed: &mut Followed| {
        tokio::select! {
            item = followed.next() => item.ok_or_else(stopping),
            () = api.stop.cancelled() => Err(stopping()),
        }
    };
    let mut first = next(followed).await?;
    if first == Item::Taken {
        match tokio::time::timeout(SECOND_THOUGHTS, next(followed)).await {
            Ok(item) => first = item?,
            Err(_) => return Ok(VecDeque::new()),
        }
    }
    match first {
        Item::End { reason, state } if state != State::Succeeded && &*reason != "end" => {
            Err(Problem::of_end(state, Some(&reason), jti))
        }
        item => Ok(VecDeque::from([item])),
    }
}

struct Log {
    api: Api,
    begun: VecDeque<Item>,
    followed: Followed,
    /// Only this one.
    stream: Option<Box<str>>,
    /// A limit was asked for, so that its end is whole.
    limited: bool,
    over: bool,
    _place: Place,
}

impl Log {
    /// The next item; none when nothing comes any more, with why.
    async fn turn(&mut self) -> Turn<Option<Item>> {
        match self.begun.pop_front() {
            Some(item) => Turn::Item(Some(item)),
            None => turn(&self.api.stop, self.followed.next()).await,
        }
    }

    fn wanted(&self, piece: &LogPiece) -> bool {
        self.stream.as_ref().is_none_or(|stream| *stream == piece.stream)
    }
}

struct Events(Log);

impl Events {
    fn end(&mut self, reason: &str, state: State) -> Bytes {
        self.0.over = true;
        frame("end", None, &json!({ "reason": reason, "state": state }))
    }
}

impl Source for Events {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.0.over {
            return None;
        }
        loop {
            return Some(Ok(match self.0.turn().await {
                Turn::Item(Some(Item::Pieces(pieces))) => {
                    let pieces = pieces.iter().filter(|piece| self.0.wanted(piece));
                    let frames: Vec<_> = pieces.map(|piece| frame("log", None, piece)).collect();
                    if frames.is_empty() {
                        continue;
                    }
                    frames.concat().into()
                }
                Turn::Item(Some(Item::Lost(chunks))) => frame("notice", None, &json!({ "lost": chunks })),
                Turn::Item(Some(Item::End { reason, state })) => self.end(&reason, state),
                Turn::Item(Some(Item::Taken | Item::Sample(_))) => continue,
                Turn::Item(None) => self.end("too slow", State::Unknown),
                Turn::Stop => self.end("the bridge is stopping", State::Unknown),
                Turn::Beat => beat(),
            }));
        }
    }
}

struct Text(Log);

impl Source for Text {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.0.over {
            return None;
        }
        loop {
            let broken = match self.0.turn().await {
                Turn::Item(Some(Item::Pieces(pieces))) => {
                    let pieces = pieces.iter().filter(|piece| self.0.wanted(piece));
                    let text = pieces.map(|piece| &*piece.text).collect::<String>();
                    if text.is_empty() {
                        continue;
                    }
                    return Some(Ok(text.into()));
                }
                Turn::Item(Some(Item::End { reason, .. })) if is_whole(&reason, self.0.limited) => return None,
                Turn::Item(Some(Item::End { reason, .. })) => reason.into(),
                Turn::Item(Some(Item::Lost(chunks))) => format!("{chunks} parts of it were lost"),
                Turn::Item(None) => "the reader was too slow".to_owned(),
                Turn::Stop => "the bridge is stopping".to_owned(),
                Turn::Item(Some(Item::Taken | Item::Sample(_))) | Turn::Beat => continue,
            };
            self.0.over = true;
            return Some(Err(io::Error::other(broken)));
        }
    }
}

/// Whether a text that ends so is all that was asked for.
fn is_whole(reason: &str, limited: bool) -> bool {
    reason == "end" || reason == "limit" && limited
}

#[cfg(test)]
mod tests {
    use super::*;

    // PS5
    #[test]
    fn only_an_end_that_was_asked_for_is_whole() {
        for (reason, limited, whole) in [
            ("end", false, true),
            ("end", true, true),
            ("limit", true, true),
            ("limit", false, false),
            ("cancelled", false, false),
            ("link lost", true, false),
        ] {
            assert_eq!(is_whole(reason, limited), whole, "{reason}");
        }
    }

    #[test]
    fn a_file_has_a_plain_name() {
        for (container, name) in [("web-1", "web-1"), ("../etc/x", "_etc_x"), ("a\"b\r\nc", "a_b__c"), ("", "")] {
            assert_eq!(file(container), name);
        }
    }
}
