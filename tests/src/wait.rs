//! Waiting for a condition instead of for a time. Every wait has a deadline, and a wait that fails says
//! what it waited for and what it saw last.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks `condition` again and again until it returns `Ok`; its `Err` is what was seen instead.
pub async fn until<T, S: Display>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Result<T, S>,
) -> Result<T> {
    let mut last = None;
    let asking = async {
        loop {
            match condition().await {
                Ok(value) => return value,
                Err(seen) => last = Some(seen),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    if let Ok(value) = tokio::time::timeout(deadline, asking).await {
        return Ok(value);
    }
    match last {
        Some(seen) => bail!("waited {deadline:?} for {what}; last seen: {seen:#}"),
        None => bail!("waited {deadline:?} for {what}; the question was never answered"),
    }
}
