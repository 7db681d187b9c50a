//! What people ask of the shell, whichever way they come: a command, with what becomes of it; and a stream, which has a
//! queue with two bounds between the shell, which never waits, and a reader who may be slow.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::commanding::{News, Order, Refusal};
use crate::following::{Item, Kind};

/// Bytes of text that wait for a follower, and items.
const BYTES: usize = 2 * 1024 * 1024;
const ITEMS: usize = 1024;

/// A request for a command on its way to the shell.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What is asked.
    pub order: Order,
    /// The command's name, or why there is none.
    pub answer: oneshot::Sender<Result<Box<str>, Refusal>>,
    /// How it goes; the last one is its end. Who is slow misses what comes before that.
    pub news: mpsc::Sender<News>,
}

/// A request for a stream on its way to the shell.
#[derive(Debug)]
pub(crate) struct AskedStream {
    /// The command that opens it.
    pub order: Order,
    /// What it is.
    pub kind: Kind,
    /// The command's name, or why there is none; none of both when there are too many streams.
    pub answer: oneshot::Sender<Option<Result<Box<str>, Refusal>>>,
    /// Where it goes.
    pub follower: Follower,
}

/// The shell's end of a stream.
#[derive(Debug)]
pub(crate) struct Follower {
    items: mpsc::Sender<Parcel>,
    room: Arc<Semaphore>,
}

/// The reader's end. When it goes, the shell is told.
#[derive(Debug)]
pub(crate) struct Followed {
    items: mpsc::Receiver<Parcel>,
    left: Arc<Notify>,
}

#[derive(Debug)]
struct Parcel {
    item: Item,
    /// The bytes that it takes in the queue.
    _room: Option<OwnedSemaphorePermit>,
}

/// Both ends; `left` is notified when the reader goes.
pub(crate) fn stream(left: Arc<Notify>) -> (Follower, Followed) {
    let (sender, items) = mpsc::channel(ITEMS);
    (Follower { items: sender, room: Arc::new(Semaphore::new(BYTES)) }, Followed { items, left })
}

impl Follower {
    /// Gives an item; false when the reader has gone, or is so slow that there is no room. The end always has some.
    pub(crate) fn give(&self, item: Item) -> bool {
        let size = match &item {
            Item::End { .. } => return self.items.try_send(Parcel { item, _room: None }).is_ok(),
            Item::Pieces(pieces) => pieces.iter().map(|piece| piece.text.len()).sum(),
            _ => 0,
        };
        let room = u32::try_from(size).ok().and_then(|size| Arc::clone(&self.room).try_acquire_many_owned(size).ok());
        match room {
            Some(room) if self.items.capacity() > 1 => self.items.try_send(Parcel { item, _room: Some(room) }).is_ok(),
            _ => false,
        }
    }

    /// Whether the reader has gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.items.is_closed()
    }
}

impl Followed {
    /// The next item; none when nothing comes any more, which is after the end or because the reader was too slow.
    /// Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        self.items.recv().await.map(|parcel| parcel.item)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.items.close();
        self.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use radar_wire::command::LogPiece;

    use super::*;
    use crate::commanding::State;

    fn pieces(size: usize) -> Item {
        Item::Pieces(vec![LogPiece { stream: "stdout".into(), text: "x".repeat(size).into() }])
    }

    fn end() -> Item {
        Item::End { reason: "end".into(), state: State::Succeeded }
    }

    // PS4
    #[tokio::test]
    async fn the_queue_has_room_for_so_many_bytes_and_so_many_items() {
        let (follower, mut followed) = stream(Arc::default());
        assert!(follower.give(pieces(BYTES - 10)) && follower.give(pieces(10)) && !follower.give(pieces(1)));
        assert!(followed.next().await.is_some());
        assert!(follower.give(pieces(BYTES - 10)));

        let (follower, mut followed) = stream(Arc::default());
        assert_eq!((0..ITEMS).filter(|_| follower.give(pieces(1))).count(), ITEMS - 1);
        assert!(follower.give(end()), "the end has room");
        drop(follower);
        let mut last = None;
        while let Some(item) = followed.next().await {
            last = Some(item);
        }
        assert_eq!(last, Some(end()));
    }

    // PS4
    #[tokio::test]
    async fn a_reader_that_goes_is_seen() {
        let left = Arc::new(Notify::new());
        let (follower, followed) = stream(Arc::clone(&left));
        assert!(!follower.is_gone());
        drop(followed);
        left.notified().await;
        assert!(follower.is_gone() && !follower.give(pieces(1)));
    }
}
