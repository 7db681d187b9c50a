//! The acts that are under way. They outlive the event stream, which is opened anew now and then, but not the way to
//! the engine; then all of them end with the reason.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::Docker;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::super::notice::Notice;
use super::super::record::{Labels, cut_to};
use super::call::{self, LONGEST_TEXT};
use super::{Act, ActError, ActErrorKind, Done, Piece};
use crate::registries::Registries;

/// How many pieces wait to be taken. An act that finds no room waits with its next one.
const PIECES: usize = 16;

/// All acts of an engine. Each ends once, after all that it has told.
pub(in super::super) struct Running {
    way: Result<Docker, String>,
    registries: Registries,
    calls: FuturesUnordered<Call>,
    reins: BTreeMap<u64, Rein>,
    told: mpsc::Receiver<(u64, Piece)>,
    tell: mpsc::Sender<(u64, Piece)>,
    /// Those that are not under way any more.
    ended: VecDeque<(u64, Result<Done, ActError>)>,
}

/// How an act that is under way is held.
struct Rein {
    more: Arc<Semaphore>,
    cancel: CancellationToken,
}

/// Where an act tells what it has before it ends.
pub(super) struct Teller {
    ticket: u64,
    more: Arc<Semaphore>,
    tell: mpsc::Sender<(u64, Piece)>,
}

impl Teller {
    /// Waits until the last piece was asked to be followed by another.
    pub(super) async fn ready(&self) {
        if let Ok(permit) = self.more.acquire().await {
            permit.forget();
        }
    }

    /// Tells a piece, once [`Teller::ready`] has returned.
    pub(super) async fn tell(&self, piece: Piece) {
        // Who takes the pieces owns this act too.
        let _ = self.tell.send((self.ticket, piece)).await;
    }
}

struct Call {
    ticket: u64,
    work: Pin<Box<dyn Future<Output = Result<Done, ActError>> + Send>>,
}

impl Future for Call {
    type Output = (u64, Result<Done, ActError>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.ticket;
        self.work.as_mut().poll(context).map(|result| (ticket, result))
    }
}

impl Running {
    /// Nothing is under way, and there is no engine yet.
    pub(in super::super) fn new(registries: Registries) -> Self {
        let way = Err("the engine has not answered yet".to_owned());
        let (tell, told) = mpsc::channel(PIECES);
        let (calls, reins, ended) = (FuturesUnordered::new(), BTreeMap::new(), VecDeque::new());
        Self { way, registries, calls, reins, told, tell, ended }
    }

    /// There is an engine, or a newer way to it; what is under way goes on.
    pub(in super::super) fn open(&mut self, docker: Docker) {
        self.way = Ok(docker);
    }

    /// The engine is away: what is under way and has no answer by now will never have one.
    pub(in super::super) fn close(&mut self, reason: String) {
        while let Some(Some(ended)) = self.calls.next().now_or_never() {
            self.ended.push_back(ended);
        }
        for call in std::mem::take(&mut self.calls) {
            self.ended.push_back((call.ticket, Err(away(&reason))));
        }
        self.way = Err(reason);
    }

    /// Begins an act, which ends at once when there is no engine.
    pub(in super::super) fn begin(&mut self, ticket: u64, act: Act, time_out: Duration, labels: Labels) {
        let docker = match &self.way {
            Ok(docker) => docker.clone(),
            Err(reason) => return self.ended.push_back((ticket, Err(away(reason)))),
        };
        let rein = Rein { more: Arc::new(Semaphore::new(1)), cancel: CancellationToken::new() };
        let teller = Teller { ticket, more: Arc::clone(&rein.more), tell: self.tell.clone() };
        let cancelled = rein.cancel.clone().cancelled_owned();
        self.reins.insert(ticket, rein);
        let registries = self.registries.clone();
        let work = Box::pin(async move {
            tokio::select! {
                result = call::perform(docker, act, time_out, labels, registries, teller) => result,
                () = cancelled => Err(cancelled_by_asker()),
            }
        });
        self.calls.push(Call { ticket, work });
    }

    /// Lets an act tell its next piece.
    pub(in super::super) fn more(&self, ticket: u64) {
        if let Some(rein) = self.reins.get(&ticket).filter(|rein| rein.more.available_permits() == 0) {
            rein.more.add_permits(1);
        }
    }

    /// Ends an act before its time.
    pub(in super::super) fn cancel(&self, ticket: u64) {
        if let Some(rein) = self.reins.get(&ticket) {
            rein.cancel.cancel();
        }
    }

    /// The next piece that an act tells, or the next act that ends; none when there is none. Cancel-safe.
    pub(in super::super) async fn next(&mut self) -> Option<Notice> {
        loop {
            // What an act has told comes before its end.
            if let Ok((ticket, piece)) = self.told.try_recv() {
                return Some(Notice::Told { ticket, piece });
            }
            if let Some((ticket, result)) = self.ended.pop_front() {
                self.reins.remove(&ticket);
                return Some(Notice::Acted { ticket, result });
            }
            tokio::select! {
                biased;
                Some((ticket, piece)) = self.told.recv() => return Some(Notice::Told { ticket, piece }),
                ended = self.calls.next() => self.ended.push_back(ended?),
            }
        }
    }
}

fn away(reason: &str) -> ActError {
    ActError { kind: ActErrorKind::Engine, text: cut_to(reason, LONGEST_TEXT) }
}

fn cancelled_by_asker() -> ActError {
    ActError { kind: ActErrorKind::Cancelled, text: "it was ended by who asked for it".into() }
}
