//! Secrets stay where they belong. The whole path runs with every secret that there is, with both programs as
//! talkative as they can be, and then everything that came out of it is searched.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::read::ZlibDecoder;
use radar_tests::broker::{Accounts, Broker, Options, Seen, Tap};
use radar_tests::engine::{Engine, Spec};
use radar_tests::server::Server;
use radar_tests::wait::until;

use crate::world::{self, DEADLINE, Program};

const ENROLL: &str = "/api/agent-auth/enroll";
const ENVIRONMENT: &str = "env-value-4f1d";
const WEB: &str = "web-login-9c27";
/// What every access token begins with: `{"alg":"RS256"` in base64.
const ACCESS: &str = "eyJhbGciOiJSUzI1Ni";

struct Stage {
    engine: Engine,
    _broker: Broker,
    server: Server,
    bridge: Program,
    /// One that brings its token, and one for which the bridge makes an account.
    agents: [Program; 2],
    upstream: String,
    token: String,
    tap: Tap,
}

impl Stage {
    async fn set() -> Result<Self> {
        let engine = Engine::shared().await?;
        let server = Server::start().await?;
        server.set_user("admin", WEB, false);
        let (upstream, token) = server.create_agent("kitchen");
        let accounts = Some(Accounts::fleet("radar", &[&upstream, "garage"]));
        let broker = Broker::open(&Options { accounts, ..Options::default() }).await?;
        let tap = broker.tap(&["#"]).await?;
        let mut bridge = world::relaying_bridge(&broker.url(), &server.url())?;
        let in_a_new_one = bridge.data().join("made/by/itself").display().to_string();
        for (variable, value) in [
            ("DATA_DIR", &*in_a_new_one),
            ("MQTT_USERNAME", "bridge"),
            ("MQTT_PASSWORD", "bridge-password"),
            ("SERVER_USERNAME", "admin"),
            ("SERVER_PASSWORD", WEB),
            ("BRIDGE_LOG_LEVEL", "trace"),
        ] {
            bridge.set(variable, value);
        }
        let agent = |id: &str| {
            let mut agent = world::agent(id, &engine.host(), &broker.url())?;
            agent.set("MQTT_USERNAME", id);
            agent.set("MQTT_PASSWORD", &format!("{id}-password"));
            agent.set("AGENT_LOG_LEVEL", "trace");
            anyhow::Ok(agent)
        };
        let (mut first, second) = (agent(&upstream)?, agent("garage")?);
        first.set("AGENT_ENROLL_TOKEN", &token);
        bridge.start().await?;
        first.start().await?;
        second.start().await?;
        let stage = Self { engine, _broker: broker, server, bridge, agents: [first, second], upstream, token, tap };
        stage.change_arrives("with-secrets").await?;
        Ok(stage)
    }

    /// A container with a secret in its environment comes to the server, by way of both agents; its name.
    async fn change_arrives(&self, purpose: &str) -> Result<String> {
        let name = self.engine.unique(purpose);
        let environment = Some(vec![format!("SECRET={ENVIRONMENT}")]);
        self.engine.run(&name, Spec::default().adjust(|body| body.env = environment)).await?;
        until(&format!("{name} at the server, twice"), DEADLINE, async || {
            let agents = self.server.agents();
            let there = agents.iter().filter(|view| view.status == "online" && view.names().contains(&&*name)).count();
            if there == 2 { Ok(()) } else { Err(format!("{agents:?}")) }
        })
        .await?;
        Ok(name)
    }

    /// Everything that must not be seen anywhere, as it was made or sent.
    fn secrets(&self) -> BTreeSet<String> {
        let mut secrets: BTreeSet<String> = [ENVIRONMENT, WEB, ACCESS, "bridge-password", "garage-password"]
            .into_iter()
            .map(str::to_owned)
            .chain([format!("{}-password", self.upstream)])
            .collect();
        let texts = |field: &str| -> Vec<String> {
            let calls = self.server.requests().into_iter();
            calls.filter_map(|call| call.body[field].as_str().map(str::to_owned)).collect()
        };
        secrets.extend(texts("refreshSecret"));
        secrets.extend(texts("enrollToken").into_iter().filter(|token| *token != self.token));
        secrets
    }
}

/// What a message says, unpacked.
fn plain(seen: &Seen) -> Vec<u8> {
    let mut text = Vec::new();
    match ZlibDecoder::new(&*seen.payload).read_to_end(&mut text) {
        Ok(_) if seen.content_type.as_deref() == Some("application/cbor+zlib") => text,
        _ => seen.payload.clone(),
    }
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted.as_bytes())
}

// RR13, RR3
#[tokio::test]
async fn nothing_that_comes_out_has_a_secret_in_it() -> Result<()> {
    let stage = Stage::set().await?;
    stage.bridge.stop().await?;
    stage.bridge.start().await?;
    let name = stage.change_arrives("after").await?;
    for agent in &stage.agents {
        agent.stop().await?;
    }

    let secrets = stage.secrets();
    // Six that the test has given, two refresh secrets, and the token of the account that the bridge made.
    assert_eq!(secrets.len(), 9, "{secrets:?}");
    let mut outputs = Vec::new();
    for arguments in [&["agents", "--json"][..], &["agents"], &["events", "garage", "--json"], &["events", "garage"]] {
        let output = stage.bridge.call(arguments).await?;
        ensure!(output.status.success(), "{arguments:?}");
        outputs.push((arguments.join(" "), [output.stdout, output.stderr].concat()));
    }
    for path in ["/metrics", "/health"] {
        outputs.push((path.to_owned(), stage.bridge.get(path).await?.1.into_bytes()));
    }
    for (program, name) in [(&stage.bridge, "bridge"), (&stage.agents[0], "first"), (&stage.agents[1], "second")] {
        outputs.push((format!("the log of the {name}"), program.log().into_bytes()));
    }
    let seen = stage.tap.seen();
    let (enrolling, rest): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| seen.topic.ends_with("/enroll"));
    for seen in &rest {
        outputs.push((seen.topic.clone(), plain(seen)));
    }
    for (place, text) in &outputs {
        for secret in secrets.iter().chain([&stage.token]) {
            ensure!(!contains(text, secret), "{secret} in {place}");
        }
    }
    for seen in &enrolling {
        ensure!(!secrets.iter().any(|secret| contains(&seen.payload, secret)), "{}", seen.topic);
    }
    // The search finds what is there.
    let found = |wanted: &str| outputs.iter().filter(|(_, text)| contains(text, wanted)).count();
    ensure!(found(&name) >= 6, "{name} in {}", found(&name));
    let topics: BTreeSet<_> = enrolling.iter().map(|seen| seen.topic.as_str()).collect();
    assert_eq!(topics, [&*format!("radar/v1/{}/enroll", stage.upstream)].into());
    ensure!(enrolling.iter().all(|seen| contains(&seen.payload, &stage.token)));
    Ok(())
}

fn modes(directory: &Path, found: &mut Vec<(String, u32)>) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
        found.push((path.display().to_string(), mode));
        if path.is_dir() {
            modes(&path, found)?;
        }
    }
    Ok(())
}

// RR3
#[tokio::test]
async fn they_are_kept_where_only_the_bridge_can_read_and_enrolled_for_once() -> Result<()> {
    let stage = Stage::set().await?;
    assert_eq!(stage.server.calls(ENROLL).len(), 2);
    let data = stage.bridge.data();
    let mut found = Vec::new();
    modes(&data, &mut found)?;
    ensure!(found.len() >= 3, "{found:?}");
    ensure!(found.iter().all(|(_, mode)| mode & 0o077 == 0), "{found:?}");
    let own = std::fs::metadata(&data).context("its directory")?.permissions().mode() & 0o777;
    assert_eq!(own, 0o700, "{}", data.display());

    stage.bridge.stop().await?;
    stage.bridge.start().await?;
    stage.change_arrives("stopped").await?;
    stage.bridge.kill9().await?;
    // The agent brings its token again.
    stage.agents[0].kill9().await?;
    stage.agents[0].start().await?;
    stage.bridge.start().await?;
    stage.change_arrives("killed").await?;
    assert_eq!(stage.server.calls(ENROLL).len(), 2);
    assert_eq!(stage.server.agents().len(), 2);
    Ok(())
}
