//! The agent replaces itself, as a program of the host: by what works, and by nothing else, whatever happens meanwhile.
//! New versions are copies of the built program with a byte more, which the loader ignores, and small scripts.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_link::jws::{Hasher, SigningKey, sign, sign_digest};
use radar_link::time::Clock;
use radar_tests::broker::{Broker, Options, Tap};
use radar_tests::certificates::Certificates;
use radar_tests::forward::{Forward, Kind};
use radar_tests::port;
use radar_tests::programs::put;
use radar_tests::wait::until;
use radar_wire::codec;
use radar_wire::command::{Claims, Command, Outcome, Progress};
use radar_wire::status::{Presence, Status};

use crate::world::{self, DEADLINE, Program};

mod releases;

use releases::{Releases, Way};

const COMMAND: &str = "radar/v1/pi/command";
const OUTCOME: &str = "radar/v1/pi/outcome";
const STATUS: &str = "radar/v1/pi/status";

struct Stage {
    broker: Broker,
    tap: Tap,
    key: SigningKey,
    release: SigningKey,
    agent: Program,
    /// The file that the agent is started from, and what was in it at first.
    target: PathBuf,
    old: Vec<u8>,
    releases: Releases,
}

impl Stage {
    /// An agent that may update itself, online. There is no engine: that changes nothing.
    async fn set() -> Result<Self> {
        let broker = Broker::open(&Options::default()).await?;
        let tap = broker.tap(&[OUTCOME, STATUS]).await?;
        let (key, release) = (SigningKey::generate()?, SigningKey::generate()?);
        let mut agent = world::agent("pi", "unix:///nowhere/docker.sock", &broker.url())?;
        agent.set("AGENT_COMMAND_KEY", &key.public().to_string());
        agent.set("AGENT_RELEASE_KEY", &release.public().to_string());
        agent.set("AGENT_ALLOW", "self-update");
        let target = agent.installed().await?;
        let old = fs::read(&target)?;
        let stage = Self { broker, tap, key, release, agent, target, old, releases: Releases::serve().await? };
        stage.agent.start().await?;
        stage.online_again(0).await?;
        Ok(stage)
    }

    /// Waits until it is online in a session above this one, which its broker still holds for the truth; the session.
    async fn online_again(&self, above: u64) -> Result<u64> {
        until("the agent online", DEADLINE, async || {
            let seen = self.broker.retained(STATUS).await?.context("no status")?;
            let status: Status = codec::decode(None, &seen.payload)?;
            let there = status.state == Presence::Online && status.session > above;
            if there { Ok(status.session) } else { Err(anyhow::anyhow!("{status:?}")) }
        })
        .await
    }

    /// A command for what is served, named so.
    async fn ask(&self, jti: &str, body: &[u8], way: Way, patience: u32) -> Result<()> {
        let program = self.releases.offer(&self.release, jti, body, way)?;
        self.command(jti, Command::SelfUpdate { image: None, program: Some(program), patience: Some(patience) }).await
    }

    async fn command(&self, jti: &str, cmd: Command) -> Result<()> {
        let iat = Clock::start().now().wall / 1000;
        let (iss, sub, jti) = ("test".to_owned(), "me".to_owned(), jti.to_owned());
        let claims = Claims { iss, aud: "pi".parse()?, sub, iat, exp: iat + 60, jti, cmd };
        self.broker.publish_raw(COMMAND, sign(&self.key, &claims)?, false).await
    }

    /// How a command has ended.
    async fn end(&self, jti: &str) -> Result<Outcome> {
        let read = |payload: &[u8]| codec::decode::<Outcome>(None, payload).ok();
        let ends = |outcome: &Outcome| {
            let open = matches!(outcome.state, Progress::Accepted | Progress::Progress);
            &*outcome.jti == jti && !open
        };
        let what = format!("the end of {jti}");
        let is_end = |payload: &[u8]| read(payload).is_some_and(|outcome| ends(&outcome));
        let deadline = DEADLINE + Duration::from_secs(30);
        let seen = self.tap.wait_for(&what, deadline, |seen| seen.topic == OUTCOME && is_end(&seen.payload)).await?;
        read(&seen.payload).context("it was just read")
    }

    /// It failed for this reason, and the old version is there and works.
    async fn fails(&self, jti: &str, why: &str) -> Result<String> {
        let outcome = self.end(jti).await?;
        let reason = outcome.reason.as_deref().unwrap_or_default().to_owned();
        assert!(reason.starts_with(why), "{jti}: {outcome:?}\n{}", self.agent.log());
        assert!(matches!(outcome.state, Progress::Failed | Progress::Refused), "{outcome:?}");
        self.is_old().await?;
        Ok(reason)
    }

    async fn is_old(&self) -> Result<()> {
        assert!(fs::read(&self.target)? == self.old, "the program was changed");
        self.is_clean().await
    }

    /// It runs from its own file, and nothing is left of a trial.
    async fn is_clean(&self) -> Result<()> {
        until("an agent that runs from its file", DEADLINE, async || {
            self.agent.check_running()?;
            let pid = self.agent.pid().context("no process")?;
            let runs = fs::metadata(format!("/proc/{pid}/exe"))?;
            ensure!(runs.ino() == fs::metadata(&self.target)?.ino(), "it runs from something else");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        let directory = self.target.parent().context("a directory")?;
        let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
        let strange = |name: &&std::ffi::OsString| !name.to_string_lossy().starts_with("radar-agent");
        assert_eq!(names.iter().filter(strange).count(), 0, "{names:?}");
        until("nothing left in its data", DEADLINE, async || {
            let left = ["self-update", "trial.log"].map(|name| self.agent.data().join(name).exists());
            if left == [false, false] { Ok(()) } else { Err(anyhow::anyhow!("{left:?}")) }
        })
        .await
    }

    fn session(&self) -> u64 {
        let statuses = self.tap.seen().into_iter().filter(|seen| seen.topic == STATUS);
        let sessions = statuses.filter_map(|seen| codec::decode::<Status>(None, &seen.payload).ok());
        sessions.map(|status| status.session).max().unwrap_or(0)
    }

    /// A new version of the agent: another file that does the same.
    fn newer(&self) -> Vec<u8> {
        [&self.old[..], b"\nnewer"].concat()
    }

    /// The program's own file, started in another way.
    fn script(&self, line: &str) -> Vec<u8> {
        let target = self.target.display();
        format!("#!/bin/sh\ncase $1 in --version) exec {target} --version;; esac\n{line}\n").into_bytes()
    }

    /// One that works but for the address of its broker.
    fn astray(&self) -> Vec<u8> {
        let nobody = port::free().unwrap_or(1);
        let target = self.target.display();
        self.script(&format!("MQTT_URL=mqtt://127.0.0.1:{nobody} exec {target} \"$@\""))
    }
}

// DM13
#[tokio::test]
async fn a_signed_version_that_comes_online_takes_the_place_of_the_old_one() -> Result<()> {
    let stage = Stage::set().await?;
    let (pid, session) = (stage.agent.pid(), stage.session());
    stage.ask("01-1", &stage.newer(), Way::Redirected, 60).await?;
    let outcome = stage.end("01-1").await?;
    assert_eq!(outcome.state, Progress::Succeeded, "{outcome:?}\n{}", stage.agent.log());
    let result = format!("{:?}", outcome.result);
    assert!(["from", "to", "version"].iter().all(|key| result.contains(key)), "{result}");
    assert!(fs::read(&stage.target)? == stage.newer(), "it is not the new one");
    assert!(fs::read(stage.target.with_file_name("radar-agent.previous"))? == stage.old, "the old one is not kept");
    assert_eq!(fs::metadata(&stage.target)?.permissions().mode() & 0o777, 0o755);
    stage.is_clean().await?;
    stage.online_again(session).await?;
    assert_eq!(stage.agent.pid(), pid, "what a supervisor has started is still there");
    let goodbye = stage.tap.seen().into_iter().filter(|seen| seen.topic == STATUS).any(|seen| {
        let status: Option<Status> = codec::decode(None, &seen.payload).ok();
        status.is_some_and(|status| status.state == Presence::Offline && status.reason.as_str() == "update")
    });
    assert!(goodbye, "it said nothing of why it left");
    // Once more, from a version that came so itself; and the next start is of the new one.
    stage.ask("01-2", &stage.old, Way::Straight, 60).await?;
    assert_eq!(stage.end("01-2").await?.state, Progress::Succeeded, "{}", stage.agent.log());
    stage.is_old().await?;
    stage.agent.stop().await?;
    stage.agent.start().await?;
    stage.online_again(stage.session()).await?;
    Ok(())
}

// DM13, E9: from a network that lets nobody out but through a proxy.
#[tokio::test]
async fn a_version_that_was_signed_on_the_command_line_is_fetched_over_tls_from_who_is_trusted() -> Result<()> {
    let mut stage = Stage::set().await?;
    let room = tempfile::tempdir()?;
    let [trusted, other] = ["trusted", "other"].map(|name| room.path().join(name));
    for authority in [&trusted, &other] {
        fs::create_dir(authority)?;
    }
    let (trusted, other) = (Certificates::make(&trusted)?, Certificates::make(&other)?);
    let (file, body) = (room.path().join("radar-agent"), stage.newer());
    fs::write(&file, &body)?;
    let bridge = world::bridge(&stage.broker.url())?;
    let said = bridge.call(&["sign", &file.display().to_string(), "--json"]).await?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said: serde_json::Value = serde_json::from_slice(&said.stdout)?;
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    let releases = Releases::serve_tls(&trusted).await?;
    let url = releases.put("01", &body, Way::Redirected);
    let proxy = Forward::open(Kind::Tinyproxy, true, &[]).await?;
    stage.agent.set("MQTT_PROXY", &proxy.url_with_account());
    for (jti, certificates) in [("01-1", &other), ("01-2", &trusted)] {
        let session = stage.session();
        stage.agent.stop().await?;
        stage.agent.set("AGENT_RELEASE_KEY", &text("key"));
        stage.agent.set("SSL_CERT_FILE", &certificates.ca().display().to_string());
        stage.agent.set("SSL_CERT_DIR", &room.path().join("none").display().to_string());
        stage.agent.start().await?;
        stage.online_again(session).await?;
        let (url, sha256, signature) = (url.as_str().into(), text("sha256").into(), text("signature").into());
        let program = Some(radar_wire::command::Program { url, sha256, signature });
        stage.command(jti, Command::SelfUpdate { image: None, program, patience: Some(60) }).await?;
        if jti == "01-1" {
            let reason = stage.fails(jti, "download: 127.0.0.1: ").await?;
            assert!(reason.contains("certificate") && releases.asked() == 0, "{reason}");
        }
    }
    let outcome = stage.end("01-2").await?;
    assert_eq!(outcome.state, Progress::Succeeded, "{outcome:?}\n{}", stage.agent.log());
    assert!(fs::read(&stage.target)? == body, "it is not the new one");
    let host = url.split('/').nth(2).context("a host")?;
    assert!(proxy.log().contains(&format!("CONNECT {host}")), "{}", proxy.log());
    stage.is_clean().await
}

// DM13
#[tokio::test]
async fn what_is_not_what_was_signed_is_never_run() -> Result<()> {
    let stage = Stage::set().await?;
    let session = stage.session();
    let trap = stage.target.with_file_name("radar-agent.was-run");
    let evil = format!("#!/bin/sh\ntouch {}\necho radar-agent 1\n", trap.display()).into_bytes();
    let other = SigningKey::generate()?;
    let forged = stage.releases.offer(&other, "01-1", &evil, Way::Straight)?;
    stage.command("01-1", Command::SelfUpdate { image: None, program: Some(forged), patience: None }).await?;
    stage.fails("01-1", "signature: ").await?;
    assert_eq!(stage.releases.asked(), 0, "it was fetched without a signature");
    let mut swapped = stage.releases.offer(&stage.release, "01-2", &evil, Way::Straight)?;
    let mut hasher = Hasher::new();
    hasher.update(&stage.newer());
    let digest = hasher.finish();
    (swapped.sha256, swapped.signature) = (digest.to_string().into(), sign_digest(&stage.release, &digest)?.into());
    stage.command("01-2", Command::SelfUpdate { image: None, program: Some(swapped), patience: None }).await?;
    stage.fails("01-2", "hash: ").await?;
    for (jti, way, why) in [
        ("01-3", Way::Missing, "download: the server answers 404"),
        ("01-4", Way::Loop, "download: more than 5 redirects"),
        ("01-5", Way::TooLarge, "too-large: "),
    ] {
        stage.ask(jti, &evil, way, 60).await?;
        stage.fails(jti, why).await?;
    }
    assert!(!trap.exists(), "it was run");
    assert_eq!(stage.session(), session, "the agent was away");
    Ok(())
}

// DM13
#[tokio::test]
async fn a_server_that_falls_silent_is_not_waited_for() -> Result<()> {
    let stage = Stage::set().await?;
    stage.ask("01-1", &stage.newer(), Way::Stalled, 60).await?;
    stage.fails("01-1", "download: the server was silent").await?;
    Ok(())
}

// DM13
#[tokio::test]
async fn a_version_that_does_not_come_online_goes_and_the_old_one_tells_why() -> Result<()> {
    let stage = Stage::set().await?;
    let pid = stage.agent.pid();
    stage.ask("01-1", &stage.astray(), Way::Straight, 6).await?;
    let reason = stage.fails("01-1", "rolled-back: the new one was not online at the broker within 6 s").await?;
    assert!(reason.contains("nothing listens at mqtt://"), "{reason}");
    stage.ask("01-2", &stage.script("echo 'no such thing' >&2; exit 3"), Way::Straight, 60).await?;
    let reason = stage.fails("01-2", "rolled-back: the new one ended 4 times: exit status: 3").await?;
    assert!(reason.contains("no such thing"), "{reason}");
    // It takes no notice of anything, so it is ended by force.
    stage.ask("01-3", &stage.script("exec sleep 600"), Way::Straight, 3).await?;
    stage.fails("01-3", "rolled-back: the new one was not online").await?;
    stage.ask("01-4", b"#!/bin/sh\nexec sleep 600\n", Way::Straight, 3).await?;
    stage.fails("01-4", "does-not-run: it does not tell its version in time").await?;
    assert_eq!(stage.agent.pid(), pid, "what a supervisor has started is still there");
    stage.online_again(0).await?;
    Ok(())
}

// DM13
#[tokio::test]
async fn a_stop_during_a_trial_is_a_stop_and_the_old_version_starts_next() -> Result<()> {
    let stage = Stage::set().await?;
    stage.ask("01-1", &stage.astray(), Way::Straight, 60).await?;
    stage.agent.wait_log("is tried").await?;
    stage.agent.wait_log("nothing listens at mqtt://").await?;
    stage.agent.stop().await?;
    assert!(fs::read(&stage.target)? == stage.old);
    stage.agent.start().await?;
    stage.fails("01-1", "rolled-back: the agent was asked to stop").await?;
    Ok(())
}

// DM13, E5
#[tokio::test]
async fn whenever_it_is_killed_what_starts_next_works_and_tells_what_became_of_it() -> Result<()> {
    let stage = Stage::set().await?;
    let note = stage.agent.data().join("self-update");
    let stage_of = || String::from_utf8_lossy(&fs::read(&note).unwrap_or_default()).into_owned();
    let said = || fs::read_to_string(stage.agent.data().join("trial.log")).unwrap_or_default();
    type Reached<'a> = Box<dyn Fn() -> bool + 'a>;
    let points: [(&str, Way, Reached<'_>); 6] = [
        ("download", Way::Stalled, Box::new(|| stage.target.with_file_name(".radar-agent.new").exists())),
        ("noted", Way::Straight, Box::new(|| stage_of().contains("Trying"))),
        ("child", Way::Straight, Box::new(|| stage.agent.data().join("trial.log").exists())),
        ("online", Way::Straight, Box::new(|| said().contains("connected to the broker"))),
        ("adopting", Way::Straight, Box::new(|| stage_of().contains("Adopting"))),
        ("renamed", Way::Straight, Box::new(|| fs::read(&stage.target).is_ok_and(|now| now != stage.old))),
    ];
    for (at, (name, way, reached)) in points.iter().enumerate() {
        let jti = format!("01-{at}");
        let session = stage.session();
        stage.ask(&jti, &stage.newer(), *way, 30).await?;
        until(name, DEADLINE, async || if reached() { Ok(()) } else { Err(stage.agent.log()) }).await?;
        stage.agent.kill9().await?;
        let now = fs::read(&stage.target)?;
        let renewed = now == stage.newer();
        assert!(renewed || now == stage.old, "{name}: a part of a program");
        stage.agent.start().await?;
        let outcome = stage.end(&jti).await?;
        let reason = outcome.reason.as_deref().unwrap_or_default();
        match &outcome.state {
            Progress::Succeeded => assert!(renewed, "{name}: {outcome:?}"),
            Progress::Failed => assert!(!renewed && reason.contains("interrupted"), "{name}: {outcome:?}"),
            _ => panic!("{name}: {outcome:?}"),
        }
        assert_eq!(renewed, fs::read(&stage.target)? == stage.newer(), "{name}");
        stage.online_again(session).await?;
        stage.is_clean().await?;
        if renewed {
            stage.agent.stop().await?;
            put(&stage.target, &stage.old)?;
            stage.agent.start().await?;
            stage.online_again(stage.session()).await?;
        }
    }
    Ok(())
}
