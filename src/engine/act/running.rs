//! The acts that are under way. They outlive the event stream, which is opened anew now and then, but not the way to
//! the engine; then all of them end with the reason.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::Docker;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::super::notice::Notice;
use super::super::record::{Labels, cut_to};
use super::call::{self, LONGEST_TEXT};
use super::{Act, ActError, ActErrorKind, Done};

/// All acts of an engine. Each ends once.
pub(in super::super) struct Running {
    way: Result<Docker, String>,
    calls: FuturesUnordered<Call>,
    /// Those that are not under way any more.
    ended: VecDeque<(u64, Result<Done, ActError>)>,
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
    pub(in super::super) fn new() -> Self {
        let way = Err("the engine has not answered yet".to_owned());
        Self { way, calls: FuturesUnordered::new(), ended: VecDeque::new() }
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
        match &self.way {
            Ok(docker) => {
                let work = Box::pin(call::perform(docker.clone(), act, time_out, labels));
                self.calls.push(Call { ticket, work });
            }
            Err(reason) => self.ended.push_back((ticket, Err(away(reason)))),
        }
    }

    /// The next act that ends; none when there is none. Cancel-safe.
    pub(in super::super) async fn next(&mut self) -> Option<Notice> {
        let ended = match self.ended.pop_front() {
            Some(ended) => Some(ended),
            None => self.calls.next().await,
        };
        ended.map(|(ticket, result)| Notice::Acted { ticket, result })
    }
}

fn away(reason: &str) -> ActError {
    ActError { kind: ActErrorKind::Engine, text: cut_to(reason, LONGEST_TEXT) }
}
