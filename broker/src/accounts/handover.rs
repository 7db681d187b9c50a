//! What a host is handed so that an agent runs there: the agent's settings, in the form in which the host starts
//! programs. All forms are made of the same lines. Pure.

use std::fmt::Write as _;

use radar_link::mqtt::BrokerUrl;
use radar_link::secret::Secret;
use radar_wire::topic::{AgentId, Prefix};

/// Where the agent finds the authority's certificate on its host, or in its container.
const CA: &str = "/etc/radar-agent/ca.pem";
/// The engine's socket, which the agent's user opens by its group.
const SOCKET: &str = "/var/run/docker.sock";

/// What one agent needs.
#[derive(Debug)]
pub(crate) struct Handover {
    /// The broker as the agent reaches it.
    pub url: BrokerUrl,
    /// What all topics start with.
    pub prefix: Prefix,
    /// The agent.
    pub id: AgentId,
    /// As it is shown.
    pub name: String,
    /// The account's name.
    pub account: String,
    /// The account's password.
    pub password: Secret,
    /// The certificates to trust, as PEM; `None` are the system's.
    pub ca: Option<String>,
    /// Whose commands it takes.
    pub command_key: String,
    /// What may be commanded, where it is not the default.
    pub allow: Option<String>,
    /// The server's one-time token.
    pub enroll_token: Option<Secret>,
    /// The agent's image.
    pub image: String,
}

/// Why a host cannot be told.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} `{value}` has characters that environment files read differently: use none of \" ' \\ ` $ # and no control characters"
)]
pub(crate) struct FormError {
    what: &'static str,
    value: String,
}

impl Handover {
    /// Checks that every value means the same to everything that reads environment files.
    pub(crate) fn check(&self) -> Result<(), FormError> {
        let texts = [
            ("the name", self.name.as_str()),
            ("MQTT_TOPIC_PREFIX", self.prefix.as_str()),
            ("AGENT_ALLOW", self.allow.as_deref().unwrap_or_default()),
            ("the image", &self.image),
            ("AGENT_ENROLL_TOKEN", self.enroll_token.as_ref().map(Secret::expose).unwrap_or_default()),
        ];
        let url = self.url.to_string();
        let odd = |c: char| c.is_control() || crate::text::is_hidden(c) || "\"'\\`$#".contains(c);
        for (what, value) in texts.into_iter().chain([("the address", url.as_str())]) {
            if value.contains(odd) || value.trim() != value {
                let value = if what == "AGENT_ENROLL_TOKEN" { "…".to_owned() } else { crate::text::plain(value) };
                return Err(FormError { what, value });
            }
        }
        Ok(())
    }

    /// The agent's settings: variables and values.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let some = |variable, value: Option<String>| value.map(|value| (variable, value));
        let prefix = Some(self.prefix.to_string()).filter(|prefix| prefix != Prefix::DEFAULT);
        [
            some("MQTT_URL", Some(self.url.to_string())),
            some("MQTT_USERNAME", Some(self.account.clone())),
            some("MQTT_PASSWORD", Some(self.password.expose().to_owned())),
            some("MQTT_CA_FILE", self.ca.as_ref().map(|_| CA.to_owned())),
            some("MQTT_TOPIC_PREFIX", prefix),
            some("AGENT_ID", Some(self.id.to_string())),
            some("AGENT_NAME", Some(self.name.clone())),
            some("AGENT_ENROLL_TOKEN", self.enroll_token.as_ref().map(|token| token.expose().to_owned())),
            some("AGENT_COMMAND_KEY", Some(self.command_key.clone())),
            some("AGENT_ALLOW", self.allow.clone()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// A file for `--env-file` of Docker and Podman, for `env_file` of Compose, and for `EnvironmentFile=` of systemd.
    pub(crate) fn env(&self) -> String {
        let mut text = format!("# radar-agent on {}. It holds a password: mode 0600.\n", self.id);
        if self.ca.is_some() {
            let _ = writeln!(text, "# {CA} is to be there, with the certificate of the broker's authority.");
        }
        for (variable, value) in self.settings() {
            let _ = writeln!(text, "{variable}={value}");
        }
        text
    }

    /// A script that puts the files in their place on the host and starts the container. What is secret is in a file, so
    /// that neither the list of processes nor the engine's command line shows it.
    pub(crate) fn run(&self) -> String {
        let mut text =
            format!("#!/bin/sh\n# radar-agent on {}: run this on the host, as root. It holds a password.\n", self.id);
        let _ = write!(text, "set -eu\nimage='{}'\n{LOOK}", self.image);
        let _ = write!(text, "(umask 077 && cat >\"$dir/agent.env\") <<'END'\n{}END\n", self.env());
        text.push_str("chmod 600 \"$dir/agent.env\"\n");
        if let Some(ca) = &self.ca {
            let _ = write!(text, "cat >\"$dir/ca.pem\" <<'END'\n{}\nEND\n", ca.trim_end());
            text.push_str("chmod 644 \"$dir/ca.pem\"\n");
        }
        text.push_str("\"$engine\" run --detach --name radar-agent --restart unless-stopped \\\n");
        text.push_str("  --env-file \"$dir/agent.env\" \\\n");
        if self.ca.is_some() {
            let _ = writeln!(text, "  --volume \"$dir/ca.pem:{CA}:ro\" \\");
        }
        let _ = writeln!(text, "  --volume radar-agent:/var/lib/radar-agent \\");
        let _ = writeln!(text, "  --volume \"$socket:{SOCKET}\" --group-add \"$(stat -Lc %g \"$socket\")\" \\");
        text.push_str("  --read-only --cap-drop ALL --security-opt no-new-privileges \\\n");
        text.push_str("  --log-opt max-size=1m --log-opt max-file=3 \\\n");
        text.push_str("  \"$image\"\n");
        text
    }

    /// A Compose file; with the settings in `agent.env` beside it, or in the file itself. `deploy/agent.compose.yaml` is
    /// the same.
    pub(crate) fn compose(&self, beside: bool) -> String {
        let mut text = format!("# radar-agent on {}", self.id);
        text.push_str(if beside {
            ", with agent.env beside this file.\n"
        } else {
            ". It holds a password: mode 0600.\n"
        });
        let _ = writeln!(text, "# Start it with: DOCKER_GID=$(stat -c %g {SOCKET}) docker compose up -d");
        let _ = write!(text, "services:\n  radar-agent:\n    image: {}\n", quoted(&self.image));
        text.push_str("    restart: unless-stopped\n");
        if beside {
            text.push_str("    env_file: agent.env\n");
        } else {
            text.push_str("    environment:\n");
            for (variable, value) in self.settings() {
                let _ = writeln!(text, "      {variable}: {}", quoted(&value));
            }
        }
        text.push_str("    volumes:\n");
        let _ = writeln!(text, "      - {SOCKET}:{SOCKET}");
        if self.ca.is_some() {
            let _ = writeln!(text, "      - ./ca.pem:{CA}:ro");
        }
        text.push_str("      - radar-agent:/var/lib/radar-agent\n");
        let _ =
            writeln!(text, "    group_add:\n      - \"${{DOCKER_GID:?set it to what stat -c %g {SOCKET} prints}}\"");
        text.push_str(TIGHT);
        text
    }
}

/// The script's look at its host, before it changes anything there.
const LOOK: &str = r#"fail() {
    echo "$0: $*" >&2
    exit 1
}
if command -v docker >/dev/null; then
    engine=docker socket=${DOCKER_SOCKET:-/var/run/docker.sock}
elif command -v podman >/dev/null; then
    engine=podman socket=${DOCKER_SOCKET:-/run/podman/podman.sock}
else
    fail "neither docker nor podman is installed here"
fi
[ -S "$socket" ] || fail "$socket is no socket: start the engine (Podman: systemctl enable --now podman.socket), or say with DOCKER_SOCKET where it is"
if "$engine" container inspect radar-agent >/dev/null 2>&1; then
    fail "there is a container radar-agent already. To replace it: $engine rm --force radar-agent (its volume stays), then this again"
fi
"$engine" image inspect "$image" >/dev/null 2>&1 || "$engine" pull "$image" >&2 ||
    fail "the image $image is not here and cannot be pulled. Bring it ($engine save $image | ssh THIS-HOST $engine load), or name another one at the top of this script"
dir=${RADAR_DIR:-/etc/radar-agent}
mkdir -p "$dir"
"#;

/// How the agent's container is held: what it may, what it may use, and how long its log may be.
const TIGHT: &str = "    \
    read_only: true
    cap_drop:
      - ALL
    security_opt:
      - no-new-privileges:true
    mem_limit: 64m
    pids_limit: 64
    logging:
      driver: json-file
      options:
        max-size: 1m
        max-file: \"3\"
volumes:
  radar-agent:
";

/// A text of YAML, without what Compose would put in the place of a variable.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handover() -> Handover {
        Handover {
            url: "mqtts://broker.example:8883".parse().unwrap(),
            prefix: Prefix::default(),
            id: "pi".parse().unwrap(),
            name: "Pi (kitchen)".to_owned(),
            account: "radar-agent-pi".to_owned(),
            password: Secret::new("00ff"),
            ca: Some("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_owned()),
            command_key: "ed25519:abc".to_owned(),
            allow: Some("observe,operate".to_owned()),
            enroll_token: None,
            image: "radar-agent:1.2".to_owned(),
        }
    }

    // E8
    #[test]
    fn an_environment_file_has_all_that_the_agent_needs() {
        let expected = "\
# radar-agent on pi. It holds a password: mode 0600.
# /etc/radar-agent/ca.pem is to be there, with the certificate of the broker's authority.
MQTT_URL=mqtts://broker.example:8883
MQTT_USERNAME=radar-agent-pi
MQTT_PASSWORD=00ff
MQTT_CA_FILE=/etc/radar-agent/ca.pem
AGENT_ID=pi
AGENT_NAME=Pi (kitchen)
AGENT_COMMAND_KEY=ed25519:abc
AGENT_ALLOW=observe,operate
";
        assert_eq!(handover().env(), expected);
        let more = Handover {
            ca: None,
            allow: None,
            prefix: "radar/site7".parse().unwrap(),
            enroll_token: Some(Secret::new("once")),
            ..handover()
        };
        let text = more.env();
        assert!(text.contains("\nMQTT_TOPIC_PREFIX=radar/site7\n") && text.contains("\nAGENT_ENROLL_TOKEN=once\n"));
        assert!(!text.contains("ca.pem") && !text.contains("ALLOW"), "{text}");
    }

    // E8
    #[test]
    fn a_script_for_docker_holds_the_certificate_and_hides_the_password() {
        let text = handover().run();
        let (files, command) = text.split_once("\"$engine\" run ").unwrap();
        assert!(files.contains("-----END CERTIFICATE-----\nEND\n") && files.contains("MQTT_PASSWORD=00ff\n"), "{text}");
        assert!(!command.contains("00ff") && command.contains("ca.pem:ro") && command.ends_with("\"$image\"\n"));
        assert!(files.contains("\nimage='radar-agent:1.2'\n"), "{files}");
        let plain = Handover { ca: None, ..handover() }.run();
        assert!(!plain.contains("ca.pem"), "{plain}");
    }

    // E8
    #[test]
    fn a_compose_file_has_its_settings_in_itself_or_beside_it() {
        let beside = handover().compose(true);
        assert!(beside.contains("    env_file: agent.env\n") && !beside.contains("00ff"), "{beside}");
        let alone = handover().compose(false);
        assert!(alone.contains("      MQTT_PASSWORD: \"00ff\"\n") && !alone.contains("env_file"), "{alone}");
        let shipped = include_str!("../../../deploy/agent.compose.yaml");
        let example = Handover { image: "radar-agent:latest".to_owned(), ..handover() }.compose(true);
        let rows =
            |text: &str| text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
        assert_eq!(rows(shipped), rows(&example), "deploy/agent.compose.yaml is what add-agent writes");
        assert_eq!(quoted("a$b\"c"), r#""a$$b\"c""#);
    }

    // E8
    #[test]
    fn a_value_that_some_reader_takes_for_more_is_refused() {
        for name in
            ["a\nAGENT_ALLOW=all", "a'b", "a\"b", "a\\", "$(reboot)", "`reboot`", "a #b", " a", "a\u{202e}b", "\u{0}"]
        {
            let error = Handover { name: name.to_owned(), ..handover() }.check().unwrap_err().to_string();
            assert!(error.starts_with("the name `") && !error.contains('\n'), "{error}");
        }
        let image = Handover { image: "a' --privileged 'b".to_owned(), ..handover() }.check().unwrap_err();
        assert!(image.to_string().starts_with("the image"), "{image}");
        let token = Handover { enroll_token: Some(Secret::new("se#cret")), ..handover() }.check().unwrap_err();
        assert!(!token.to_string().contains("cret"), "{token}");
        for name in ["Pi (kitchen)", "Küche 2", "pi+nas @home, 3rd: a/b"] {
            Handover { name: name.to_owned(), ..handover() }.check().unwrap();
        }
    }
}
