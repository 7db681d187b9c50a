use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, RestartPolicy, RestartPolicyNameEnum};

use super::IMAGE;

/// What a container is made from. The default sleeps for ever without a network, ends at once when it is
/// stopped, and ignores SIGWINCH.
#[derive(Debug, Clone)]
pub struct Spec {
    body: ContainerCreateBody,
}

impl Default for Spec {
    fn default() -> Self {
        Self::command(["sleep", "1000000000"])
    }
}

impl Spec {
    /// A container that runs this command.
    pub fn command<A: Into<String>>(command: impl IntoIterator<Item = A>) -> Self {
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(command.into_iter().map(Into::into).collect()),
            stop_signal: Some("SIGKILL".to_owned()),
            host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        Self { body }
    }

    /// A container that runs a line of shell.
    pub fn shell(line: &str) -> Self {
        Self::command(["sh", "-c", line])
    }

    /// A container that ignores SIGTERM: a stop takes as long as it is given.
    pub fn stubborn() -> Self {
        Self::shell("trap '' TERM; while :; do sleep 0.1; done").adjust(|body| body.stop_signal = None)
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        let labels = self.body.labels.get_or_insert_with(HashMap::new);
        labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the restart policy.
    #[must_use]
    pub fn restart(self, policy: RestartPolicyNameEnum) -> Self {
        self.adjust(|body| {
            let host = body.host_config.get_or_insert_with(HostConfig::default);
            host.restart_policy = Some(RestartPolicy { name: Some(policy), maximum_retry_count: None });
        })
    }

    /// Asks a line of shell for the container's health, in this interval; one failure is enough.
    #[must_use]
    pub fn health(self, line: &str, interval: Duration) -> Self {
        let interval = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX);
        self.adjust(|body| {
            body.healthcheck = Some(HealthConfig {
                test: Some(vec!["CMD-SHELL".to_owned(), line.to_owned()]),
                interval: Some(interval),
                retries: Some(1),
                ..HealthConfig::default()
            });
        })
    }

    /// Changes anything else.
    #[must_use]
    pub fn adjust(mut self, change: impl FnOnce(&mut ContainerCreateBody)) -> Self {
        change(&mut self.body);
        self
    }

    pub(super) fn body(self) -> ContainerCreateBody {
        self.body
    }
}
