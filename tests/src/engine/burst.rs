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
    /// container on its own: mostly renames (there and back), every tenth a signal that it ignores, every
    /// twenty-fifth a change of the restart policy. Returns what was made, in the order of each container.
    ///
    /// Few signals, because each takes the engine a new process. No pauses: when one is ended at once, the
    /// engine may say both a second time.
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
        let other_name = format!("{name}-renamed");
        let mut renamed = self.inspect(id).await?.name.is_some_and(|name| name.ends_with("-renamed"));
        let mut made = Vec::with_capacity(count);
        for number in 1..=count {
            let action = match number {
                _ if number % 10 == 0 => "kill",
                // Podman of version 4 has no such call.
                _ if number % 25 == 5 && !self.kind().is_podman() => "update",
                _ => "rename",
            };
            let done = match action {
                "rename" if renamed => self.rename(id, name).await,
                "rename" => self.rename(id, &other_name).await,
                "update" => self.set_retries(id, i64::try_from(number).unwrap_or_default()).await,
                _ => self.kill(id, "WINCH").await,
            };
            done.with_context(|| format!("event {number} of a burst on {name}"))?;
            renamed ^= action == "rename";
            made.push(Made { container: id.clone(), action });
        }
        Ok(made)
    }
}
