//! Where tasks are spawned. Every task has a name and somebody who awaits it; the first to end
//! stops the others, and the program ends within a grace period.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The tasks of a program.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

/// A task that has ended, and how.
#[derive(Debug)]
pub struct Ended {
    /// The name that it was spawned with.
    pub name: &'static str,
    /// `Ok` when it ended by itself without a failure.
    pub result: Result<(), TaskError>,
}

/// How a task failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It returned an error.
    #[error("task {name} failed")]
    Failed {
        /// The name that it was spawned with.
        name: &'static str,
        /// What it returned.
        source: anyhow::Error,
    },
    /// It panicked.
    #[error("task {name} panicked: {text}")]
    Panicked {
        /// The name that it was spawned with.
        name: &'static str,
        /// What it said.
        text: String,
    },
    /// It did not end in time and was dropped where it stood.
    #[error("task {name} did not stop in time")]
    Late {
        /// The name that it was spawned with.
        name: &'static str,
    },
}

impl Tasks {
    /// No task yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the tasks are to stop; every task waits for it beside its work.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Spawns a task. A task that ends, in whatever way, stops the program.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for the first task to end and tells the others to stop. `None` when there is no
    /// task. Cancel-safe.
    pub async fn first_end(&mut self) -> Option<Ended> {
        let joined = self.set.join_next_with_id().await?;
        self.stop.cancel();
        Some(self.ended(joined))
    }

    /// Tells all tasks to stop, waits for them no longer than `grace`, and drops what is still
    /// there then.
    ///
    /// # Errors
    /// Every failure, in the order in which the tasks ended; the late ones come last.
    pub async fn finish(mut self, grace: Duration) -> Result<(), Vec<TaskError>> {
        self.stop.cancel();
        let mut failures = Vec::new();
        let all = async {
            while let Some(joined) = self.set.join_next_with_id().await {
                failures.extend(self.ended(joined).result.err());
            }
        };
        // Whatever is late is found in `names` below.
        let _ = tokio::time::timeout(grace, all).await;
        self.set.abort_all();
        let mut late: Vec<_> = self.names.into_values().collect();
        late.sort_unstable();
        failures.extend(late.into_iter().map(|name| TaskError::Late { name }));
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    fn ended(&mut self, joined: Result<(Id, anyhow::Result<()>), JoinError>) -> Ended {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.remove(&id).unwrap_or("without a name");
        let result = match joined {
            Ok((_, Ok(()))) => Ok(()),
            Ok((_, Err(source))) => Err(TaskError::Failed { name, source }),
            Err(error) => Err(TaskError::Panicked { name, text: panic_text(error) }),
        };
        Ended { name, result }
    }
}

fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

/// A task with one owner: awaited by it, dropped with it.
#[derive(Debug)]
pub struct Owned<T>(AbortOnDropHandle<T>);

impl<T: Send + 'static> Owned<T> {
    /// Spawns a task.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the room that spawns")]
    pub fn spawn<F>(task: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self(AbortOnDropHandle::new(tokio::spawn(task)))
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the task's value. Cancel-safe.
    ///
    /// # Panics
    /// When the task has panicked: a panic travels to the owner.
    pub async fn value(&mut self) -> T {
        match (&mut self.0).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the owner aborts it, by dropping it, or the runtime, by ending.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Listens for the signals that ask a program to stop, from now on; the future ends with the
/// name of the first one.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn shutdown_signal() -> io::Result<impl Future<Output = &'static str> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn the_first_to_end_stops_the_others() {
        let mut tasks = Tasks::new();
        let stop = tasks.stop();
        tasks.spawn("patient", async move {
            stop.cancelled().await;
            Ok(())
        });
        tasks.spawn("brittle", async { anyhow::bail!("glass") });

        let ended = tasks.first_end().await.unwrap();

        assert_eq!(ended.name, "brittle");
        assert_eq!(ended.result.unwrap_err().to_string(), "task brittle failed");
        assert!(tasks.finish(Duration::from_secs(5)).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_is_an_end_with_its_text() {
        let mut tasks = Tasks::new();
        tasks.spawn("wrong", async { panic!("index {}", 7) });
        let error = tasks.first_end().await.unwrap().result.unwrap_err();
        assert_eq!(error.to_string(), "task wrong panicked: index 7");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_dropped_and_named() {
        let mut tasks = Tasks::new();
        tasks.spawn("deaf", pending());
        let failures = tasks.finish(Duration::from_secs(8)).await.unwrap_err();
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].to_string(), "task deaf did not stop in time");
    }

    #[tokio::test]
    async fn without_a_task_nothing_ends() {
        assert!(Tasks::new().first_end().await.is_none());
        assert!(Tasks::new().finish(Duration::ZERO).await.is_ok());
    }

    #[tokio::test]
    async fn an_owned_task_ends_with_its_owner() {
        let (alive, mut dropped) = tokio::sync::oneshot::channel::<()>();
        let owned = Owned::spawn(async move {
            let _alive = alive;
            pending::<()>().await;
        });
        tokio::task::yield_now().await;
        assert!(dropped.try_recv().is_err());
        drop(owned);
        assert!(dropped.await.is_err());
    }

    #[tokio::test]
    #[should_panic(expected = "carried over")]
    async fn the_panic_of_an_owned_task_reaches_its_owner() {
        Owned::spawn(async { panic!("carried over") }).value().await
    }
}
