//! The agent replaces itself, as a container: a helper from the new image does it, and goes back when the new agent does
//! not reach the broker.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bollard::models::{ContainerInspectResponse, HostConfig, RestartPolicyNameEnum};
use radar_link::jws::{SigningKey, sign};
use radar_link::time::Clock;
use radar_tests::broker::{Accounts, Broker, Options, Tap};
use radar_tests::engine::{Engine, Kind, Spec};
use radar_tests::process;
use radar_tests::programs::built;
use radar_tests::wait::until;
use radar_wire::codec;
use radar_wire::command::{Claims, Command, Outcome, Progress};
use radar_wire::status::{Presence, Status};

use crate::world::DEADLINE;

const OUTCOME: &str = "radar/v1/pi/outcome";
const STATUS: &str = "radar/v1/pi/status";
const NAME: &str = "edge-agent";
/// Of the command `01-1`.
const HELPER: &str = "edge-agent-radar-help-110";

/// What works.
const PLAIN: &str = r#"ENTRYPOINT ["/bin/radar-agent"]"#;
/// A helper from it works, and the agent sleeps.
const DEAF: &str = r#"ENTRYPOINT ["/bin/sh", "-c", "case \"$*\" in *take-over*) exec radar-agent \"$@\";; *) exec sleep 1000;; esac", "sh"]"#;
/// Not even a helper comes of it.
const BROKEN: &str = r#"ENTRYPOINT ["/bin/false"]"#;

const STATUS_ONLY: &str = "topic read radar/v1/pi/status";

struct Stage {
    engine: Engine,
    broker: Broker,
    tap: Tap,
    key: SigningKey,
    data: PathBuf,
    /// The agent's container at first.
    id: String,
}

impl Stage {
    async fn set() -> Result<Self> {
        Self::set_on(Kind::Docker).await
    }

    async fn set_on(kind: Kind) -> Result<Self> {
        let engine = Engine::start_as(kind).await?;
        // As `add-agent` makes them: the helper has an account of its own, by the same password.
        let mut accounts = Accounts::default();
        accounts.add_with_password("radar-agent-pi", "secret", "topic readwrite radar/v1/pi/#");
        accounts.add_with_password("radar-take-over-pi", "secret", STATUS_ONLY);
        let broker = Broker::open(&Options { accounts: Some(accounts), ..Options::default() }).await?;
        let tap = broker.tap(&[OUTCOME, STATUS]).await?;
        let key = SigningKey::generate()?;
        let program = built().await?.join("radar-agent");
        engine.make_image_with("agent:1", &[(&program, "/bin/radar-agent")], &[PLAIN, "ENV RELEASE=1"]).await?;
        let data = process::directory("take-over")?;
        let variables = [
            format!("MQTT_URL={}", broker.url()),
            "MQTT_USERNAME=radar-agent-pi".to_owned(),
            "MQTT_PASSWORD=secret".to_owned(),
            format!("AGENT_COMMAND_KEY={}", key.public()),
            "MQTT_KEEP_ALIVE=5s".to_owned(),
            "AGENT_ALLOW=self-update".to_owned(),
            "AGENT_ID=pi".to_owned(),
            "DATA_DIR=/data".to_owned(),
            "DOCKER_HOST=unix:///engine.sock".to_owned(),
        ];
        let binds = vec![format!("{}:/engine.sock", engine.socket().display()), format!("{}:/data", data.display())];
        let spec = Spec::command(["run"]).label("edge", "kept").adjust(|body| {
            body.image = Some("agent:1".to_owned());
            body.env = Some(variables.to_vec());
            body.stop_signal = None;
            let network_mode = Some("host".to_owned());
            body.host_config = Some(HostConfig { network_mode, binds: Some(binds), ..HostConfig::default() });
        });
        let spec = spec.restart(RestartPolicyNameEnum::UNLESS_STOPPED);
        let id = engine.run(NAME, spec).await?.id;
        let stage = Self { engine, broker, tap, key, data, id };
        stage.online(0).await?;
        Ok(stage)
    }

    async fn image(&self, name: &str, entry: &str) -> Result<()> {
        let program = built().await?.join("radar-agent");
        self.engine.make_image_with(name, &[(&program, "/bin/radar-agent")], &[entry, "ENV RELEASE=2"]).await
    }

    async fn online(&self, above: u64) -> Result<u64> {
        until("the agent online", DEADLINE, async || {
            let seen = self.broker.retained(STATUS).await?.context("no status")?;
            let status: Status = codec::decode(None, &seen.payload)?;
            let there = status.state == Presence::Online && status.session > above;
            if there { Ok(status.session) } else { Err(anyhow::anyhow!("{status:?}")) }
        })
        .await
    }

    async fn ask(&self, jti: &str, image: &str, patience: u32) -> Result<()> {
        let iat = Clock::start().now().wall / 1000;
        let cmd = Command::SelfUpdate { image: Some(image.into()), program: None, patience: Some(patience) };
        let (iss, sub, jti) = ("test".to_owned(), "me".to_owned(), jti.to_owned());
        let claims = Claims { iss, aud: "pi".parse()?, sub, iat, exp: iat + 60, jti, cmd };
        self.broker.publish_raw("radar/v1/pi/command", sign(&self.key, &claims)?, false).await
    }

    async fn end(&self, jti: &str) -> Result<Outcome> {
        let read = |payload: &[u8]| codec::decode::<Outcome>(None, payload).ok();
        let ends = |outcome: &Outcome| {
            &*outcome.jti == jti && !matches!(outcome.state, Progress::Accepted | Progress::Progress)
        };
        let what = format!("the end of {jti}");
        let is_end = |payload: &[u8]| read(payload).is_some_and(|outcome| ends(&outcome));
        let seen = self.tap.wait_for(&what, DEADLINE, |seen| seen.topic == OUTCOME && is_end(&seen.payload)).await?;
        read(&seen.payload).context("it was just read")
    }

    /// The one container that is left, which has the agent's name and all that was set for it.
    async fn only(&self) -> Result<ContainerInspectResponse> {
        until("one container", DEADLINE, async || {
            let ids = self.engine.ids().await?;
            if ids.len() == 1 { Ok(()) } else { Err(anyhow::anyhow!("{ids:?}")) }
        })
        .await?;
        let found = self.engine.inspect(NAME).await?;
        let config = found.config.clone().unwrap_or_default();
        let host = found.host_config.clone().unwrap_or_default();
        assert_eq!(config.labels.unwrap_or_default().get("edge").map(String::as_str), Some("kept"));
        assert_eq!(host.restart_policy.and_then(|policy| policy.name), Some(RestartPolicyNameEnum::UNLESS_STOPPED));
        assert_eq!((host.network_mode.as_deref(), host.binds.map(|binds| binds.len())), (Some("host"), Some(2)));
        assert_eq!(config.cmd, Some(vec!["run".to_owned()]));
        assert_eq!(found.state.as_ref().and_then(|state| state.running), Some(true));
        until("nothing left in its data", DEADLINE, async || {
            if self.data.join("take-over").exists() { Err("the note") } else { Ok(()) }
        })
        .await?;
        Ok(found)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Made by a container, as root; what cannot be removed is in /tmp.
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn environment(found: &ContainerInspectResponse) -> Vec<String> {
    found.config.as_ref().and_then(|config| config.env.clone()).unwrap_or_default()
}

// DM13
#[tokio::test]
async fn an_image_that_works_takes_over_with_all_that_was_set() -> Result<()> {
    takes_over(&Stage::set().await?).await
}

// DM13, E10: both ends on the same Podman.
#[tokio::test]
async fn also_on_podman() -> Result<()> {
    let stage = Stage::set_on(Kind::Podman).await?;
    stays(&stage).await?;
    takes_over(&stage).await
}

async fn takes_over(stage: &Stage) -> Result<()> {
    let session = stage.online(0).await?;
    stage.image("agent:2", PLAIN).await?;
    stage.ask("01-1", "agent:2", 60).await?;
    let outcome = stage.end("01-1").await?;
    assert_eq!(outcome.state, Progress::Succeeded, "{outcome:?}");
    let found = stage.only().await?;
    assert_ne!(found.id.as_deref(), Some(&*stage.id));
    assert!(environment(&found).contains(&"RELEASE=2".to_owned()), "what came from the old image gave way");
    assert!(environment(&found).contains(&"AGENT_ID=pi".to_owned()));
    stage.online(session).await?;
    stage.ask("01-2", "agent:2", 60).await?;
    let again = stage.end("01-2").await?;
    assert_eq!(again.state, Progress::Succeeded);
    assert!(again.reason.is_some_and(|reason| reason.starts_with("unchanged")));
    assert_eq!(stage.only().await?.id, found.id);
    // E8: the agent's account is bound to the agent's client id where it can be, so the helper came in with its own.
    let log = stage.broker.tail();
    assert!(log.contains("u'radar-agent-pi'") && log.contains("u'radar-take-over-pi'"), "{log}");
    Ok(())
}

// DM13
#[tokio::test]
async fn an_image_that_starts_and_does_not_connect_goes_and_the_old_agent_tells_why() -> Result<()> {
    stays(&Stage::set().await?).await
}

async fn stays(stage: &Stage) -> Result<()> {
    let session = stage.online(0).await?;
    stage.image("agent:deaf", DEAF).await?;
    stage.ask("01-0", "agent:deaf", 6).await?;
    let outcome = stage.end("01-0").await?;
    assert_eq!(outcome.state, Progress::Failed, "{outcome:?}");
    let reason = outcome.reason.unwrap_or_default();
    assert!(reason.starts_with("rolled-back: the new one was not online at the broker within 6 s"), "{reason}");
    let found = stage.only().await?;
    assert_eq!(found.id.as_deref(), Some(&*stage.id));
    assert!(environment(&found).contains(&"RELEASE=1".to_owned()));
    stage.online(session).await?;
    Ok(())
}

// DM13
#[tokio::test]
async fn an_image_from_which_no_helper_comes_changes_nothing() -> Result<()> {
    let stage = Stage::set().await?;
    let session = stage.online(0).await?;
    stage.image("agent:broken", BROKEN).await?;
    for (jti, image, why) in
        [("01-1", "agent:broken", "rolled-back: the helper"), ("01-2", "127.0.0.1:1/agent:none", "pull: ")]
    {
        stage.ask(jti, image, 60).await?;
        let outcome = stage.end(jti).await?;
        assert_eq!(outcome.state, Progress::Failed);
        assert!(outcome.reason.as_deref().is_some_and(|reason| reason.starts_with(why)), "{outcome:?}");
        assert_eq!(stage.only().await?.id.as_deref(), Some(&*stage.id));
    }
    assert_eq!(stage.online(0).await?, session, "the agent was never away");
    Ok(())
}

// DM13
#[tokio::test]
async fn a_helper_that_is_killed_leaves_one_agent_that_works() -> Result<()> {
    let stage = Stage::set().await?;
    stage.image("agent:2", PLAIN).await?;
    for (jti, image) in [("01-1", "agent:2"), ("01-2", "agent:1")] {
        let session = stage.online(0).await?;
        let before = stage.engine.inspect(NAME).await?.id.context("an id")?;
        stage.ask(jti, image, 30).await?;
        until("the new one in the old one's place", DEADLINE, async || {
            let found = stage.engine.inspect(NAME).await?;
            let running = found.state.as_ref().and_then(|state| state.running) == Some(true);
            if running && found.id.as_deref() != Some(&*before) { Ok(()) } else { Err(anyhow::anyhow!("not yet")) }
        })
        .await?;
        let mark: String = jti.chars().rev().filter(char::is_ascii_alphanumeric).take(6).collect();
        stage.engine.kill(&format!("{NAME}-radar-help-{mark}"), "SIGKILL").await?;
        let outcome = stage.end(jti).await?;
        assert_eq!(outcome.state, Progress::Succeeded, "{outcome:?}");
        let found = stage.only().await?;
        assert_ne!(found.id.as_deref(), Some(&*before));
        stage.online(session).await?;
    }
    Ok(())
}

// DM13
#[tokio::test]
async fn a_helper_that_the_host_kills_comes_again_and_puts_the_old_agent_back() -> Result<()> {
    let stage = Stage::set().await?;
    let session = stage.online(0).await?;
    stage.image("agent:2", PLAIN).await?;
    stage.ask("01-1", "agent:2", 30).await?;
    until("the old one stopped", DEADLINE, async || {
        let state = stage.engine.inspect(&stage.id).await?.state.context("a state")?;
        if state.running == Some(true) { Err(anyhow::anyhow!("it runs")) } else { Ok(()) }
    })
    .await?;
    stage.engine.kill_unseen(HELPER).await?;
    let outcome = stage.end("01-1").await?;
    let reason = outcome.reason.unwrap_or_default();
    assert!(outcome.state == Progress::Failed && reason.starts_with("rolled-back: the helper was ended"), "{reason}");
    assert_eq!(stage.only().await?.id.as_deref(), Some(&*stage.id));
    stage.online(session).await?;
    Ok(())
}

// DM13
#[tokio::test]
async fn the_old_agent_puts_right_what_a_killed_helper_has_left_when_it_is_started_again() -> Result<()> {
    let stage = Stage::set().await?;
    stage.image("agent:2", PLAIN).await?;
    stage.ask("01-1", "agent:2", 30).await?;
    until("the old one stopped", DEADLINE, async || {
        let found = stage.engine.inspect(&stage.id).await?;
        let running = found.state.and_then(|state| state.running) == Some(true);
        if running { Err(anyhow::anyhow!("it runs")) } else { Ok(()) }
    })
    .await?;
    stage.engine.kill(HELPER, "SIGKILL").await?;
    stage.engine.start_container(&stage.id).await?;
    let outcome = stage.end("01-1").await?;
    let reason = outcome.reason.unwrap_or_default();
    assert!(outcome.state == Progress::Failed && reason.starts_with("rolled-back: interrupted"), "{reason}");
    assert_eq!(stage.only().await?.id.as_deref(), Some(&*stage.id));
    stage.online(0).await?;
    Ok(())
}
