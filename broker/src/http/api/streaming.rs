//! Answers that go on: a body that is made piece by piece, with a sign of life where nothing else is told.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::metrics::ApiMetrics;

/// How long nothing is told at most.
const BEAT: Duration = Duration::from_secs(15);

/// A place among the streams, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    metrics: ApiMetrics,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, metrics: &ApiMetrics) -> Self {
        metrics.stream_opened();
        Self { metrics: metrics.clone(), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.stream_closed();
    }
}

/// What a body is made of.
pub(super) trait Source: Send + 'static {
    /// The next piece. None ends the answer whole; an error breaks it off, so that who reads can tell.
    fn next(&mut self) -> impl Future<Output = Option<io::Result<Bytes>>> + Send;
}

/// The body that a source makes.
pub(super) fn body(source: impl Source) -> Body {
    Body::from_stream(unfold(source, |mut source| async {
        let piece = source.next().await?;
        Some((piece, source))
    }))
}

/// An answer of server-sent events.
pub(super) fn events(source: impl Source) -> Response {
    let mut response = Response::new(body(source));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// What came first.
pub(super) enum Turn<T> {
    Item(T),
    /// Nothing for a while.
    Beat,
    /// The program stops.
    Stop,
}

/// Waits for the next thing to tell.
pub(super) async fn turn<T>(stop: &CancellationToken, next: impl Future<Output = T>) -> Turn<T> {
    tokio::select! {
        biased;
        item = next => Turn::Item(item),
        () = stop.cancelled() => Turn::Stop,
        () = tokio::time::sleep(BEAT) => Turn::Beat,
    }
}

/// A comment, which says that the stream is alive.
pub(super) fn beat() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// Writes one event.
pub(super) fn frame(event: &str, id: Option<i64>, data: &impl Serialize) -> Bytes {
    // JSON has no line breaks of its own.
    let data = serde_json::to_string(data).unwrap_or_else(|_| Value::Null.to_string());
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {event}\n{id}data: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // PS4
    #[test]
    fn an_event_is_one_frame_whatever_is_in_it() {
        assert_eq!(frame("log", None, &"a\nb\r\n\n"), "event: log\ndata: \"a\\nb\\r\\n\\n\"\n\n");
        assert_eq!(frame("event", Some(7), &1), "event: event\nid: 7\ndata: 1\n\n");
    }
}
