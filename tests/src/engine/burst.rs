use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{Container, Engine};

/// One event that a burst has made the engine say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Made {
    /// The container's full id.
    pub container: String,
    /// The engine's word for it.
    pub action: &'static str,
}

impl Engine {
    /// Makes exactly `count` events on these running containers, as fast as the engine does it, each
    /// container on its own: mostly signals that they ignore, every tenth a rename, and now and then a
    /// pause. Returns what was made, in the order of each container. At the end each runs, and may still
    /// have the other one of its two names.
    pub async fn burst(&self, containers: &[Container], count: usize) -> Result<Vec<Made>> {
        let shares = containers.len().max(1);
        let mut running: FuturesUnordered<_> = containers
            .iter()
            .enumerate()
            .map(|(index, container)| {
                let share = count / shares + usize::from(index < count % shares);
                self.burst_one(container, share)
            })
            .collect();
        let mut made = Vec::with_capacity(count);
        while let Some(part) = running.next().await {
            made.extend(part?);
        }
        Ok(made)
    }

    async fn burst_one(&self, container: &Container, count: usize) -> Result<Vec<Made>> {
        let Container { id, name } = container;
        let mut made = Vec::with_capacity(count);
        let (mut paused, mut renamed) = (false, false);
        let other_name = format!("{name}-renamed");
        for number in 1..=count {
            let action = match number % 100 {
                50 if number < count => "pause",
                51 if paused => "unpause",
                step if step % 10 == 0 => "rename",
                _ => "kill",
            };
            let done = match action {
                "pause" => self.pause(id).await,
                "unpause" => self.unpause(id).await,
                "rename" if renamed => self.rename(id, name).await,
                "rename" => self.rename(id, &other_name).await,
                _ => self.kill(id, "WINCH").await,
            };
            done.with_context(|| format!("event {number} of a burst on {name}"))?;
            paused = action == "pause";
            renamed ^= action == "rename";
            made.push(Made {
                container: id.clone(),
                action,
            });
        }
        Ok(made)
    }
}
