use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, RestartContainerOptions, StartContainerOptions,
    StopContainerOptions,
};

use super::{Engine, Spec};
use crate::process;

/// A container of the private engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The full id, 64 hex digits.
    pub id: String,
    /// The name it was created with, without a slash.
    pub name: String,
}

/// One call to the engine each; containers are named by id or name.
impl Engine {
    /// A container name that no other test uses.
    pub fn unique(&self, purpose: &str) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        format!("{purpose}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates and starts a container.
    pub async fn run(&self, name: &str, spec: Spec) -> Result<Container> {
        let container = self.create(name, spec).await?;
        self.start_container(name).await?;
        Ok(container)
    }

    /// Creates and starts `count` containers that sleep, with unique names.
    pub async fn run_many(&self, purpose: &str, count: usize) -> Result<Vec<Container>> {
        let mut containers = Vec::with_capacity(count);
        for _ in 0..count {
            containers.push(self.run(&self.unique(purpose), Spec::default()).await?);
        }
        Ok(containers)
    }

    /// Creates a container.
    pub async fn create(&self, name: &str, spec: Spec) -> Result<Container> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let created = self.client()?.create_container(Some(options), spec.body()).await;
        let id = created.with_context(|| format!("creating {name}"))?.id;
        Ok(Container { id, name: name.to_owned() })
    }

    /// Starts a container.
    pub async fn start_container(&self, name: &str) -> Result<()> {
        let started = self.client()?.start_container(name, None::<StartContainerOptions>).await;
        done("starting", name, started)
    }

    /// Stops a container.
    pub async fn stop(&self, name: &str) -> Result<()> {
        let stopped = self.client()?.stop_container(name, None::<StopContainerOptions>).await;
        done("stopping", name, stopped)
    }

    /// Restarts a container.
    pub async fn restart_container(&self, name: &str) -> Result<()> {
        let restarted = self.client()?.restart_container(name, None::<RestartContainerOptions>).await;
        done("restarting", name, restarted)
    }

    /// Sends a signal (`KILL`, `WINCH`, …) to a container.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<()> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        done("killing", name, self.client()?.kill_container(name, Some(options)).await)
    }

    /// Pauses a container.
    pub async fn pause(&self, name: &str) -> Result<()> {
        done("pausing", name, self.client()?.pause_container(name).await)
    }

    /// Ends the first process of a container as the host does when it has no memory left: the engine, which did not do it
    /// itself, obeys the container's restart policy.
    pub async fn kill_unseen(&self, name: &str) -> Result<()> {
        let pid = self.inspect(name).await?.state.and_then(|state| state.pid).filter(|pid| *pid > 0);
        let pid = pid.with_context(|| format!("{name} does not run"))?.to_string();
        let words = ["sudo", "-n", "kill", "-9", &pid];
        let words = if process::is_root() { &words[2..] } else { &words[..] };
        let killed = Command::new(words[0]).args(&words[1..]).status().context("kill")?;
        ensure!(killed.success(), "{name}, process {pid}, could not be killed");
        Ok(())
    }

    /// Lets a paused container go on.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        done("unpausing", name, self.client()?.unpause_container(name).await)
    }

    /// Gives a container another name.
    pub async fn rename(&self, name: &str, to: &str) -> Result<()> {
        let options = RenameContainerOptionsBuilder::new().name(to).build();
        done("renaming", name, self.client()?.rename_container(name, options).await)
    }

    /// Gives a container the restart policy `on-failure` with this many tries.
    pub async fn set_retries(&self, name: &str, tries: i64) -> Result<()> {
        let policy = RestartPolicy { name: Some(RestartPolicyNameEnum::ON_FAILURE), maximum_retry_count: Some(tries) };
        let change = ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
        done("updating", name, self.client()?.update_container(name, change).await)
    }

    /// Removes a container, running or not.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        done("removing", name, self.client()?.remove_container(name, Some(options)).await)
    }

    /// Removes every container, running or not.
    pub async fn remove_all(&self) -> Result<()> {
        for id in self.ids().await? {
            self.remove(&id).await?;
        }
        Ok(())
    }

    /// The ids of all containers, running or not.
    pub async fn ids(&self) -> Result<Vec<String>> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let list = self.client()?.list_containers(Some(options)).await.context("the list")?;
        Ok(list.into_iter().filter_map(|container| container.id).collect())
    }

    /// What the engine says of a container.
    pub async fn inspect(&self, name: &str) -> Result<ContainerInspectResponse> {
        let told = self.client()?.inspect_container(name, None::<InspectContainerOptions>).await;
        told.with_context(|| format!("inspecting {name}"))
    }
}

fn done(doing: &str, name: &str, result: Result<(), Error>) -> Result<()> {
    result.with_context(|| format!("{doing} {name}"))
}
