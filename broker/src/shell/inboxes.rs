//! The ways to the shell, each with a bound.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};

use crate::control;
use crate::http::{Question, api};

/// The ways to the shell.
#[derive(Debug)]
pub(crate) struct Inboxes {
    /// Of `/health` and `/metrics`.
    pub questions: mpsc::Receiver<Question>,
    /// Of the control socket.
    pub control: mpsc::Receiver<control::Question>,
    /// Of the HTTP API.
    pub api: mpsc::Receiver<api::Question>,
    /// Notified when somebody who follows a stream goes.
    pub left: Arc<Notify>,
    /// The other way: changes with every transaction.
    pub committed: watch::Sender<()>,
}
