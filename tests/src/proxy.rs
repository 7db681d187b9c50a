//! A TCP proxy on loopback that can be cut, stalled in either direction and slowed, and that counts the
//! bytes it forwards. Understands nothing of what passes.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::port;

/// Chunks under way in one direction while they are delayed; more wait in the kernel's buffers.
const UNDER_WAY: usize = 1024;

/// What stands behind the proxy.
#[derive(Debug, Clone)]
pub enum Target {
    /// A port on loopback.
    Port(u16),
    /// A Unix socket.
    Socket(PathBuf),
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    /// Grows with every cut; a connection of an earlier number is reset.
    cuts: u64,
    refusing: bool,
    stalled_up: bool,
    stalled_down: bool,
    delay: Duration,
}

impl Rules {
    fn stalled(&self, direction: Direction) -> bool {
        match direction {
            Direction::Up => self.stalled_up,
            Direction::Down => self.stalled_down,
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    up: AtomicU64,
    down: AtomicU64,
}

impl Counters {
    fn of(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }
}

/// A running proxy; everything of it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    rules: watch::Sender<Rules>,
    counters: Arc<Counters>,
    _listener: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port and forwards to `target`.
    pub async fn start(target: Target) -> Result<Self> {
        let port = port::free()?;
        let listener = port::listen(port).await?;
        let (rules, watched) = watch::channel(Rules::default());
        let counters = Arc::new(Counters::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, target, watched, Arc::clone(&counters)));
        Ok(Self { port, rules, counters, _listener: tasks })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets every connection, and each new one, until `resume`.
    pub fn cut(&self) {
        self.rules.send_modify(|rules| {
            rules.cuts += 1;
            rules.refusing = true;
        });
    }

    /// Resets every connection once; new ones are forwarded.
    pub fn reset(&self) {
        self.rules.send_modify(|rules| rules.cuts += 1);
    }

    /// Forwards nothing and accepts nothing; every socket stays open.
    pub fn stall(&self) {
        self.rules.send_modify(|rules| {
            rules.stalled_up = true;
            rules.stalled_down = true;
        });
    }

    /// Forwards nothing in one direction.
    pub fn stall_one(&self, direction: Direction) {
        self.rules.send_modify(|rules| match direction {
            Direction::Up => rules.stalled_up = true,
            Direction::Down => rules.stalled_down = true,
        });
    }

    /// Ends `cut` and both kinds of stall; what was held back is forwarded.
    pub fn resume(&self) {
        self.rules.send_modify(|rules| {
            rules.refusing = false;
            rules.stalled_up = false;
            rules.stalled_down = false;
        });
    }

    /// Holds every chunk back for this time in each direction; the throughput is not limited.
    pub fn delay(&self, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Bytes forwarded in one direction since the start.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.counters.of(direction).load(Ordering::Relaxed)
    }
}

async fn listen(listener: TcpListener, target: Target, mut rules: watch::Receiver<Rules>, counters: Arc<Counters>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let fully_stalled = |rules: &Rules| rules.stalled_up && rules.stalled_down;
        if rules.wait_for(|rules| !fully_stalled(rules)).await.is_err() {
            return;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = rules.changed() => if changed.is_ok() { continue } else { return },
        };
        let Ok((client, _)) = accepted else { continue };
        let now = *rules.borrow();
        if now.refusing {
            // A reset, as from a host on which nothing listens: the port itself stays ours.
            let _ = client.set_zero_linger();
            continue;
        }
        let (target, rules) = (target.clone(), rules.clone());
        let counters = Arc::clone(&counters);
        connections.spawn(async move { connection(client, target, now.cuts, rules, &counters).await });
    }
}

async fn connection(
    mut client: TcpStream,
    target: Target,
    cuts: u64,
    rules: watch::Receiver<Rules>,
    counters: &Counters,
) {
    let _ = client.set_nodelay(true);
    let cut = async |mut rules: watch::Receiver<Rules>| {
        let _ = rules.wait_for(|rules| rules.cuts != cuts).await;
    };
    match target {
        Target::Port(port) => {
            let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                return;
            };
            let _ = server.set_nodelay(true);
            let (up, down) = (client.split(), server.split());
            tokio::select! {
                () = both(up, down, &rules, counters) => return,
                () = cut(rules.clone()) => {}
            }
            let _ = server.set_zero_linger();
        }
        Target::Socket(path) => {
            let Ok(mut server) = UnixStream::connect(path).await else {
                return;
            };
            let (up, down) = (client.split(), server.split());
            tokio::select! {
                () = both(up, down, &rules, counters) => return,
                () = cut(rules.clone()) => {}
            }
        }
    }
    let _ = client.set_zero_linger();
}

async fn both(
    (from_client, to_client): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (from_server, to_server): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    rules: &watch::Receiver<Rules>,
    counters: &Counters,
) {
    tokio::join!(
        pump(from_client, to_server, Direction::Up, rules.clone(), counters),
        pump(from_server, to_client, Direction::Down, rules.clone(), counters),
    );
}

/// Forwards one direction until its end. A chunk's delay runs from when it was read, beside the others'.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    rules: watch::Receiver<Rules>,
    counters: &Counters,
) {
    let (sender, mut chunks) = mpsc::channel(UNDER_WAY);
    let mut reading_rules = rules.clone();
    let reading = async move {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            if reading_rules.wait_for(|rules| !rules.stalled(direction)).await.is_err() {
                return;
            }
            let Ok(size) = from.read(&mut buffer).await else {
                return;
            };
            let delay = reading_rules.borrow().delay;
            // Even a sleep of nothing rounds up to the timer's next millisecond.
            let due = (!delay.is_zero()).then(|| tokio::time::sleep(delay));
            if size == 0 || sender.send((due, buffer[..size].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let mut writing_rules = rules;
    let writing = async move {
        while let Some((due, chunk)) = chunks.recv().await {
            if let Some(due) = due {
                due.await;
            }
            if writing_rules.wait_for(|rules| !rules.stalled(direction)).await.is_err() {
                return;
            }
            if to.write_all(&chunk).await.is_err() {
                return;
            }
            counters.of(direction).fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
