use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;

use super::{Launch, Process};
use crate::wait::until;

/// The place of a process that is stopped, killed and started again on the same data.
#[derive(Debug, Default)]
pub struct Seat {
    process: Mutex<Option<Process>>,
}

impl Seat {
    /// Starts a process on what its predecessor, which must have ended, has left.
    pub fn start(&self, launch: &Launch) -> Result<()> {
        let mut seat = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = seat.take() {
            if before.exited().is_none() {
                let pid = before.pid();
                *seat = Some(before);
                bail!("process {pid} still runs");
            }
            before.leave();
        }
        *seat = Some(Process::start(launch)?);
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&self, deadline: Duration) -> Result<()> {
        self.end(Process::terminate, deadline).await
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill9(&self, deadline: Duration) -> Result<()> {
        self.end(Process::kill9, deadline).await
    }

    /// Asks the process, unless none was ever started.
    pub fn ask<T>(&self, ask: impl FnOnce(&Process) -> T) -> Option<T> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(ask)
    }

    /// Fails with the last lines of a process that has ended.
    pub fn check_running(&self) -> Result<()> {
        self.ask(Process::check_running).context("it was never started")?
    }

    /// Waits until it listens on this loopback port; what it is goes into the error.
    pub async fn listens(&self, what: &str, port: u16, deadline: Duration) -> Result<()> {
        until(&format!("{what} to listen"), deadline, async || {
            if let Err(ended) = self.check_running() {
                return Ok(Err(ended));
            }
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map(|_| Ok(()))
        })
        .await?
    }

    async fn end(&self, signal: impl FnOnce(&Process), deadline: Duration) -> Result<()> {
        let exit = self.ask(|process| {
            signal(process);
            process.exit()
        });
        exit.context("it was never started")?.wait(deadline).await.map(drop)
    }
}
