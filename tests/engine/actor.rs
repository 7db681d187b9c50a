//! The engine's room without a core: it performs acts and keeps how each has ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use radar_agent::engine::act::{Act, ActError, Done, Piece};
use radar_agent::engine::notice::Notice;
use radar_agent::engine::{Address, Engine, Environment, Settings};
use radar_agent::registries::Registries;
use radar_tests::engine::Engine as TestEngine;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::watch::DEADLINE;

/// Enough for one call on a busy machine.
pub(crate) const TIME_OUT: Duration = Duration::from_secs(30);

/// An engine's room without a core.
pub(crate) struct Actor {
    pub(crate) engine: Engine,
    tickets: u64,
    pub(crate) ended: BTreeMap<u64, Result<Done, ActError>>,
    /// What acts have told; each is asked for more at once.
    pub(crate) pieces: Vec<(u64, Piece)>,
    pub(crate) ups: usize,
    pub(crate) reasons: Vec<String>,
}

impl Actor {
    pub(crate) async fn start(engine: &TestEngine) -> Result<Self> {
        Self::start_at(engine.host(), DEADLINE).await
    }

    /// `time_out` is for all that is no act.
    pub(crate) async fn start_at(host: String, time_out: Duration) -> Result<Self> {
        Self::start_as(host, time_out, Registries::default()).await
    }

    /// One that is somebody at registries.
    pub(crate) async fn start_as(host: String, time_out: Duration, registries: Registries) -> Result<Self> {
        let settings = Settings {
            address: Address::parse(Environment { host: Some(host), ..Environment::default() })?,
            labels: vec!["team".to_owned()],
            time_out,
            registries,
            actions: Vec::new(),
        };
        let engine = Engine::start(settings, None, None);
        let mut actor = Self { engine, tickets: 0, ended: BTreeMap::new(), pieces: vec![], ups: 0, reasons: vec![] };
        actor.until(|actor| actor.ups > 0).await?;
        Ok(actor)
    }

    pub(crate) async fn until(&mut self, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let going = async {
            while !condition(self) {
                match self.engine.next().await {
                    Notice::Up(_) => self.ups += 1,
                    Notice::Down { reason } => self.reasons.push(reason),
                    Notice::Acted { ticket, result } => {
                        assert!(self.ended.insert(ticket, result).is_none(), "an act ends once");
                    }
                    Notice::Told { ticket, piece } => {
                        assert!(!self.ended.contains_key(&ticket), "nothing is told after the end");
                        self.pieces.push((ticket, piece));
                        self.engine.more(ticket);
                    }
                    _ => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, going).await.context("waited for the engine's room")
    }

    pub(crate) fn begin(&mut self, act: Act, time_out: Duration) -> u64 {
        self.tickets += 1;
        self.engine.act(self.tickets, act, time_out);
        self.tickets
    }

    pub(crate) async fn end(&mut self, ticket: u64) -> Result<Result<Done, ActError>> {
        self.until(|actor| actor.ended.contains_key(&ticket)).await?;
        Ok(self.ended[&ticket].clone())
    }

    pub(crate) async fn act(&mut self, act: Act) -> Result<Result<Done, ActError>> {
        let ticket = self.begin(act, TIME_OUT);
        self.end(ticket).await
    }

    /// Whether it changed something.
    pub(crate) async fn changes(&mut self, act: Act) -> Result<bool> {
        let done = self.act(act.clone()).await?.with_context(|| format!("{act:?}"))?;
        assert_eq!(done.result, None, "{act:?}");
        Ok(done.needed)
    }

    pub(crate) async fn finds(&mut self, act: Act) -> Result<Value> {
        let done = self.act(act.clone()).await?.with_context(|| format!("{act:?}"))?;
        assert!(done.needed, "{act:?}");
        Ok(serde_json::to_value(done.result)?)
    }

    /// What it has done to the engine.
    pub(crate) async fn does(&mut self, act: Act) -> Result<(bool, Value)> {
        let done = self.act(act.clone()).await?.with_context(|| format!("{act:?}"))?;
        Ok((done.needed, serde_json::to_value(done.result)?))
    }

    /// The kind of the failure and its text.
    pub(crate) async fn fails(&mut self, act: Act) -> Result<(&'static str, String)> {
        let error = self.act(act.clone()).await?.expect_err(&format!("{act:?}"));
        assert!(!error.text.is_empty() && error.text.len() <= 500, "{error:?}");
        Ok((error.kind.as_str(), error.text.into()))
    }
}

/// A guard of the engine's socket that lets questions through and forbids everything else; where to reach it.
pub(crate) async fn guard(engine: &TestEngine) -> Result<(String, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let host = format!("tcp://{}", listener.local_addr()?);
    let socket = engine.socket();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let socket = socket.clone();
            connections.spawn(async move { guarded(client, &socket).await.ok() });
        }
    });
    Ok((host, tasks))
}

async fn guarded(mut client: TcpStream, socket: &Path) -> std::io::Result<()> {
    let mut engine = UnixStream::connect(socket).await?;
    let (mut asked, mut told) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            length = client.read(&mut asked) => match length? {
                0 => return Ok(()),
                length if asked.starts_with(b"GET ") => engine.write_all(&asked[..length]).await?,
                _ => {
                    let body = "<html><body><h1>403 Forbidden</h1></body></html>";
                    let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\nconnection: close", body.len());
                    return client.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
                }
            },
            length = engine.read(&mut told) => match length? {
                0 => return Ok(()),
                length => client.write_all(&told[..length]).await?,
            },
        }
    }
}
