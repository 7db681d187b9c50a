//! The log of a container, as it comes: asked for, taken out of its frames, and told in pieces, each only when somebody
//! wants it. How long a log is followed, and how fast, is the core's business.
//!
//! The client has a call for logs, which waits for the end of a line, takes what a terminal shows for frames where
//! a line begins with a byte of 0 to 2, then waits for as many bytes as that says, and knows whole seconds only. So the
//! bytes are read as they are, and the frames are read in here: what a terminal shows has none and is `stdout` as it is;
//! all else has a header of eight bytes before each write, with the stream and the length
//! (Docker Engine API, "Attach to a container").
//!
//! What the engine itself does to a log stays as it is: it keeps a line in parts of 16 KiB, and its driver `json-file` has
//! U+FFFD where a part ends in the middle of a character; it ends every line, also the last one; a file in which it
//! cannot read on ends the act. When a container that is followed ends or is removed, that is the end of its log.

use std::pin::{Pin, pin};
use std::time::Duration;

use bollard::Docker;
use bytes::{Buf, Bytes};
use futures_util::{FutureExt, Stream, StreamExt};
use radar_wire::container::ContainerId;

use super::super::{asking, moment};
use super::call::{LATER, within};
use super::running::Teller;
use super::{ActError, Done, Piece};

mod frames;
mod page;

use frames::Frames;
use page::Page;

/// A log that is followed may be silent from its beginning on, and not every engine answers before there is something.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Which log, and how much of it; times in milliseconds since 1970 UTC, both inclusive.
pub(super) struct Wanted {
    pub(super) id: ContainerId,
    pub(super) tail: Option<u32>,
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) timestamps: bool,
    pub(super) follow: bool,
}

/// Tells a log until its end. `time_out` is for the engine's answer, not for the log.
pub(super) async fn tell(
    docker: Docker,
    wanted: Wanted,
    time_out: Duration,
    teller: &Teller,
) -> Result<Done, ActError> {
    let docker = docker.with_timeout(time_out.saturating_add(LATER));
    let asked = async { Ok(asking::get(&docker, &format!("/containers/{}/json", wanted.id)).await?) };
    let terminal = within(time_out, asked).await?["Config"]["Tty"] == true;
    let docker = if wanted.follow { docker.with_timeout(FOR_EVER) } else { docker };
    let mut log = pin!(asking::stream(&docker, &path(&wanted)));
    let mut frames = Frames::new(terminal, wanted.timestamps);
    let mut bytes = Bytes::new();
    loop {
        teller.ready().await;
        let mut page = Page::default();
        let end = loop {
            let read = frames.read(&bytes, &mut page);
            bytes.advance(read);
            if let Some(failure) = frames.failure() {
                break Some(Err(failure));
            }
            if page.is_full() {
                break None;
            }
            // What is not there yet is not waited for once there is something to tell.
            let next = if page.is_empty() { Some(log.next().await) } else { at_once(log.as_mut()).await };
            match next {
                Some(Some(Ok(more))) => bytes = more,
                Some(Some(Err(error))) => break Some(Err(error.into())),
                Some(None) => break Some(Ok(Done { needed: false, result: None })),
                None => break None,
            }
        };
        if end.is_some() {
            frames.finish(&mut page);
        }
        if !page.is_empty() {
            teller.tell(Piece::Log(page.into_pieces())).await;
        }
        if let Some(result) = end {
            return result;
        }
    }
}

/// What the stream has by now. Its connection is a task of its own, which hands over one write of the engine at a time,
/// also when more has arrived; so it gets a turn.
async fn at_once<S: Stream>(mut log: Pin<&mut S>) -> Option<Option<S::Item>> {
    match log.next().now_or_never() {
        None => {
            tokio::task::yield_now().await;
            log.next().now_or_never()
        }
        next => next,
    }
}

fn path(wanted: &Wanted) -> String {
    let Wanted { id, tail, since, until, timestamps, follow } = *wanted;
    let mut path =
        format!("/containers/{id}/logs?stdout=true&stderr=true&timestamps={timestamps}&follow={follow}&tail=");
    match tail {
        Some(lines) => path.push_str(&lines.to_string()),
        None => path.push_str("all"),
    }
    for (name, time) in [("&since=", since), ("&until=", until)] {
        if let Some(time) = time {
            path.push_str(name);
            path.push_str(&moment::since(time.saturating_mul(1_000_000)));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM5
    #[test]
    fn what_is_wanted_goes_to_the_engine_with_milliseconds() {
        let id = ContainerId::new([1; 32]);
        let all = Wanted { id, tail: None, since: None, until: None, timestamps: false, follow: true };
        assert_eq!(
            path(&all),
            format!("/containers/{id}/logs?stdout=true&stderr=true&timestamps=false&follow=true&tail=all")
        );
        let (since, until) = (Some(1_795_000_000_007), Some(-1));
        let some = Wanted { id, tail: Some(0), since, until, timestamps: true, follow: false };
        let expect = "?stdout=true&stderr=true&timestamps=true&follow=false&tail=0&since=1795000000.007000000\
                      &until=0.000000000";
        assert!(path(&some).ends_with(expect));
    }
}
