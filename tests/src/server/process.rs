//! The double's process: a thread with a runtime of its own, so that ending it breaks every connection and drops
//! every call it works on.

use std::thread;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Shared, routes};
use crate::port;

#[derive(Debug)]
pub(super) struct Process {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Process {
    /// Starts it and waits until it listens.
    pub(super) async fn start(shared: Shared, port: u16) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let (ready, listening) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let stopped = stop.clone();
        thread::Builder::new().name("server-double".to_owned()).spawn(move || {
            runtime.block_on(stopped.clone().run_until_cancelled(serve(shared, port, stopped, ready)));
            drop(runtime);
            // Whoever waits may have gone.
            let _ = end.send(());
        })?;
        listening.await.map_err(|_| anyhow!("the server double ended at its start"))??;
        Ok(Self { stop, ended })
    }

    /// Ends it and waits until it has.
    pub(super) async fn end(mut self) -> Result<()> {
        self.stop.cancel();
        (&mut self.ended).await.context("the server double has panicked")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(shared: Shared, port: u16, stop: CancellationToken, ready: oneshot::Sender<Result<()>>) {
    let listener = match port::listen(port).await {
        Ok(listener) => listener,
        Err(failure) => return drop(ready.send(Err(failure))),
    };
    let router = Router::new().fallback(move |request| routes::answer(shared.clone(), stop.clone(), request));
    if ready.send(Ok(())).is_ok() {
        // It ends when it is dropped; before that it has no end.
        let _ = axum::serve(listener, router).await;
    }
}
