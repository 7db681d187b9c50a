//! Every setting of the agent: one table from which the help, the example file and the
//! documentation are made, and the structure that the rest of the program gets. Nothing else
//! reads the environment or the configuration file, and nothing here opens a socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use radar_link::jws::{self, PublicKey};
use radar_link::logging::Format;
use radar_link::secret::Secret;
use radar_link::settings::{self, List, MqttSettings, Setting, SettingsError, Span, Values};
use radar_wire::topic::{AgentId, Prefix};
use serde::Deserialize;

use crate::agent::commands::policy::Policy;

const OWN: &[Setting] = &[
    Setting {
        key: "agent_id",
        variable: "AGENT_ID",
        default: None,
        secret: false,
        sentence: "The agent's id, 1 to 64 of A-Z a-z 0-9 _ -; without it one is made from the host's name and kept in DATA_DIR.",
    },
    Setting {
        key: "agent_name",
        variable: "AGENT_NAME",
        default: None,
        secret: false,
        sentence: "The name to show; without it the host's name.",
    },
    Setting {
        key: "agent_enroll_token",
        variable: "AGENT_ENROLL_TOKEN",
        default: None,
        secret: true,
        sentence: "The one-time token of a Registry Radar server, for the bridge; AGENT_ID is then the id that the server gave.",
    },
    Setting {
        key: "agent_log_level",
        variable: "AGENT_LOG_LEVEL",
        default: Some("info"),
        secret: false,
        sentence: "What is logged: error, warn, info, debug or trace, or one per part of the program (info,rumqttc=debug).",
    },
    Setting {
        key: "agent_snapshot_interval",
        variable: "AGENT_SNAPSHOT_INTERVAL",
        default: Some("30s"),
        secret: false,
        sentence: "The shortest time between two snapshots of a host on which something changes; 100ms to 1d.",
    },
    Setting {
        key: "agent_reconcile_interval",
        variable: "AGENT_RECONCILE_INTERVAL",
        default: Some("60s"),
        secret: false,
        sentence: "How often what is known is compared with the engine's own list; 1s to 1d.",
    },
    Setting {
        key: "agent_labels",
        variable: "AGENT_LABELS",
        default: None,
        secret: false,
        sentence: "More container labels to show, separated by commas, beside org.opencontainers.image.* and radar.*; a name may end in *.",
    },
    Setting {
        key: "agent_outbox_events",
        variable: "AGENT_OUTBOX_EVENTS",
        default: Some("10000"),
        secret: false,
        sentence: "How many events wait for the broker at most, before a gap takes the place of the oldest; 10 to 1000000.",
    },
    Setting {
        key: "agent_outbox_bytes",
        variable: "AGENT_OUTBOX_BYTES",
        default: Some("4194304"),
        secret: false,
        sentence: "How many bytes the waiting events have at most; 16384 to 1073741824.",
    },
    Setting {
        key: "agent_command_key",
        variable: "AGENT_COMMAND_KEY",
        default: None,
        secret: false,
        sentence: "Who may command this host: what `radar-bridge key` prints; several keys, separated by commas, while one takes over from another. Without a key no command is taken.",
    },
    Setting {
        key: "agent_allow",
        variable: "AGENT_ALLOW",
        default: Some("observe"),
        secret: false,
        sentence: "What may be commanded: groups (observe; operate: start, stop, restart, kill, pause, unpause; logs; manage: rename, remove, pull, prune, and all of images, networks and volumes; update; self-update; all) and single actions, separated by commas.",
    },
    Setting {
        key: "agent_registry_config",
        variable: "AGENT_REGISTRY_CONFIG",
        default: None,
        secret: false,
        sentence: "The config.json of `docker login` with the credentials for pulling images; read anew at each pull. Without it images are pulled as anybody may.",
    },
    Setting {
        key: "agent_stats_interval",
        variable: "AGENT_STATS_INTERVAL",
        default: None,
        secret: false,
        sentence: "How often samples of what the host and its containers use are published; 5s to 1h. Without it only while somebody asks for them.",
    },
    Setting {
        key: "agent_release_key",
        variable: "AGENT_RELEASE_KEY",
        default: None,
        secret: false,
        sentence: "Who signs new versions of the agent: an Ed25519 public key in the form of `radar-bridge key`; several, separated by commas, while one takes over from another. Without a key an agent that is a program of the host does not update itself.",
    },
    Setting {
        key: "docker_host",
        variable: "DOCKER_HOST",
        default: None,
        secret: false,
        sentence: "The container engine: unix:// with a path, or tcp://, http:// or https:// with host and port; without it the sockets of Docker and Podman are tried.",
    },
    Setting {
        key: "docker_cert_path",
        variable: "DOCKER_CERT_PATH",
        default: None,
        secret: false,
        sentence: "The directory with ca.pem, cert.pem and key.pem; with it the engine at tcp:// speaks TLS.",
    },
    Setting {
        key: "docker_tls_verify",
        variable: "DOCKER_TLS_VERIFY",
        default: None,
        secret: false,
        sentence: "Anything but nothing: the engine at tcp:// speaks TLS, with the files of DOCKER_CERT_PATH.",
    },
];

const DATA_DIR: Setting = settings::data_dir(
    None,
    "Where the agent keeps what must survive it: its id, and events while the broker is away; without it /var/lib/radar-agent, \
     or memory alone where that cannot be written.",
);

/// The table, in the order in which it is shown.
#[must_use]
pub fn table() -> Vec<Setting> {
    let format = settings::LOG.iter().filter(|setting| setting.key == "log_format").copied();
    settings::MQTT.iter().copied().chain([DATA_DIR]).chain(OWN.iter().copied()).chain(format).collect()
}

/// All settings, each checked by itself and against the others.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to reach the broker.
    pub broker: MqttSettings,
    /// What all topics start with.
    pub prefix: Prefix,
    /// The rest.
    pub agent: AgentSettings,
    /// `XDG_RUNTIME_DIR`, where rootless engines have their sockets.
    pub runtime_dir: Option<PathBuf>,
}

/// The agent's own settings, by key.
#[derive(Debug, Clone, Deserialize)]
pub struct AgentSettings {
    /// The id, where the operator gives one.
    pub agent_id: Option<AgentId>,
    /// The name to show.
    pub agent_name: Option<String>,
    /// The server's one-time token.
    pub agent_enroll_token: Option<Secret>,
    /// For [`radar_link::logging::start`].
    pub agent_log_level: String,
    /// The form of a log line.
    pub log_format: Format,
    /// The shortest time between two snapshots.
    pub agent_snapshot_interval: Span,
    /// How often the engine's list is compared.
    pub agent_reconcile_interval: Span,
    /// More labels to show.
    #[serde(default)]
    pub agent_labels: List,
    /// The most events that wait for the broker.
    pub agent_outbox_events: usize,
    /// The most bytes of them.
    pub agent_outbox_bytes: usize,
    /// Who may sign commands.
    #[serde(default)]
    pub agent_command_key: Keys,
    /// Who signs releases.
    #[serde(default)]
    pub agent_release_key: Keys,
    /// What may be commanded.
    pub agent_allow: Policy,
    /// Who the host is at image registries.
    pub agent_registry_config: Option<PathBuf>,
    /// How often what is used is sampled, also when nobody asks.
    pub agent_stats_interval: Option<Span>,
    /// Where state is kept, where the operator says so.
    pub data_dir: Option<PathBuf>,
    /// The engine's address.
    pub docker_host: Option<String>,
    /// The directory of the engine's certificates.
    pub docker_cert_path: Option<PathBuf>,
    /// Whether the engine's certificate is checked.
    pub docker_tls_verify: Option<String>,
}

/// Public keys, as a list of their texts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "List")]
pub struct Keys(pub Vec<PublicKey>);

impl TryFrom<List> for Keys {
    type Error = jws::PublicKeyError;

    fn try_from(List(texts): List) -> Result<Self, jws::PublicKeyError> {
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl Settings {
    /// Reads the settings from the file, if there is one, and from the environment.
    ///
    /// # Errors
    /// The first thing that is wrong, with the name of the setting and where it came from.
    pub fn load(file: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let values = settings::read(&table(), file, &env)?;
        let broker: MqttSettings = values.part()?;
        let prefix: Prefix = broker
            .mqtt_topic_prefix
            .parse()
            .map_err(|error: radar_wire::topic::TopicError| values.refuse("mqtt_topic_prefix", error.to_string()))?;
        let agent: AgentSettings = values.part()?;
        agent.check(&values)?;
        let runtime_dir = env("XDG_RUNTIME_DIR").filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self { broker, prefix, agent, runtime_dir })
    }
}

impl AgentSettings {
    fn check(&self, values: &Values) -> Result<(), SettingsError> {
        let day = Duration::from_secs(24 * 60 * 60);
        span(values, "agent_snapshot_interval", self.agent_snapshot_interval, Duration::from_millis(100), day)?;
        span(values, "agent_reconcile_interval", self.agent_reconcile_interval, Duration::from_secs(1), day)?;
        if let Some(interval) = self.agent_stats_interval {
            span(values, "agent_stats_interval", interval, Duration::from_secs(5), Duration::from_secs(60 * 60))?;
        }
        count(values, "agent_outbox_events", self.agent_outbox_events, 10, 1_000_000)?;
        count(values, "agent_outbox_bytes", self.agent_outbox_bytes, 16 * 1024, 1024 * 1024 * 1024)?;
        if let Some(name) = &self.agent_name
            && (name.trim().is_empty() || name.len() > 200 || name.contains(char::is_control))
        {
            return Err(values.refuse("agent_name", "a name has 1 to 200 bytes and no control characters"));
        }
        if let Some(token) = &self.agent_enroll_token {
            if self.agent_id.is_none() {
                let why = "the token needs AGENT_ID beside it: the id that the server shows together with the token";
                return Err(values.refuse("agent_enroll_token", why));
            }
            if token.expose().trim().is_empty() || token.expose().len() > 2048 {
                return Err(values.refuse("agent_enroll_token", "a token has 1 to 2048 bytes"));
            }
        }
        Ok(())
    }
}

fn span(values: &Values, key: &str, Span(given): Span, least: Duration, most: Duration) -> Result<(), SettingsError> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(values.refuse(key, format!("{given:?} is not from {least:?} to {} h", most.as_secs() / 3600)))
}

fn count(values: &Values, key: &str, given: usize, least: usize, most: usize) -> Result<(), SettingsError> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(values.refuse(key, format!("{given} is not from {least} to {most}")))
}

#[cfg(test)]
mod tests;
