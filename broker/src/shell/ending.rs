//! The end: what is under way is brought to where nothing of it is lost.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use super::Shell;
use crate::commanding;
use crate::relay::Effect;
use crate::store::rows::UpstreamRow;

impl Shell {
    /// Ends what is under way: the request, whose answer may be a secret that is given once; the transaction and
    /// what was collected meanwhile; the session. What is not acknowledged comes again.
    pub(super) async fn finish(mut self) {
        const REQUEST: Duration = Duration::from_secs(3);
        const COMMIT: Duration = Duration::from_secs(3);
        const GOODBYE: Duration = Duration::from_secs(2);
        if let Some((id, mut task)) = self.relaying.as_mut().and_then(|relaying| relaying.request.take())
            && let Ok(outcome) = tokio::time::timeout(REQUEST, task.value()).await
        {
            self.handle_answer(id, outcome);
        }
        let committed = async {
            loop {
                self.settle_for_good();
                if !self.commits.is_busy() || self.commits.failing().is_some() {
                    break;
                }
                let result = self.commits.ended().await;
                self.handle_committed(result);
            }
        };
        if tokio::time::timeout(COMMIT, committed).await.is_err() || self.commits.failing().is_some() {
            warn!("stopping with {} messages not stored; the broker sends them again", self.commits.depth());
        }
        if self.link.works()
            && let Err(error) = self.link.into_session().disconnect(GOODBYE).await
        {
            debug!("no goodbye to the broker: {error}");
        }
        // Both hold the store, whose end waits for the last of them.
        drop((self.commits, self.tidying));
        self.store.close().await;
        drop(self.instance);
    }

    /// As [`settle`](Self::settle), but nothing new is asked of the server.
    fn settle_for_good(&mut self) {
        if let Some(relaying) = &mut self.relaying {
            while let Some(effect) = relaying.relay.next_effect() {
                if let Effect::Store(agent, enrollment) = effect {
                    self.commits.account(UpstreamRow { agent, server: Arc::clone(&relaying.server), enrollment });
                }
            }
        }
        let now = self.clock.now();
        while let Some(effect) = self.commands.core.next_effect() {
            match effect {
                commanding::Effect::Publish { claims, .. } => {
                    self.commands.core.handle_unsent(&claims.jti, "the bridge stopped before it was sent", now);
                }
                effect => self.perform_command(effect, now),
            }
        }
        if !self.commits.is_busy()
            && let Some(durable) = self.commits.start(self.fleet.take_writes(), now.mono)
        {
            self.handle_durable(durable);
        }
    }
}
