//! A private container engine: a `dockerd` and a `containerd`, or a Podman with its API, with directories and sockets of
//! their own, beside any others that the host may run, with one small image and containers without a network. It can be
//! restarted and killed on the same data. Its containers end with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::query_parameters::CreateImageOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::TryStreamExt;
use tokio::sync::OnceCell;

use crate::certificates::Certificates;
use crate::port;
use crate::process::{self, Launch, Process, Seat};
use crate::wait::until;

mod burst;
mod containers;
mod image;
mod kind;
mod podman;
mod spec;

pub use burst::Made;
pub use containers::Container;
pub use kind::Kind;
pub use spec::Spec;

/// The image that every engine has.
pub const IMAGE: &str = "busybox:test";

const DEADLINE: Duration = Duration::from_secs(60);

/// Ends what a daemon that was killed has left: containerd, its shims, and the first process of each
/// container, told by the control group that is named after the container.
const END_CONTAINERS: &str = include_str!("engine/end.sh");

/// Starts containerd unless it runs, and becomes the daemon. Left to itself the daemon would use the
/// host's containerd where there is one.
const START: &str = include_str!("engine/start.sh");

/// A private engine; clones are the same engine, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Engine {
    daemon: Arc<Daemon>,
}

#[derive(Debug)]
struct Daemon {
    kind: Kind,
    directory: PathBuf,
    /// Arguments of a listener for TLS.
    tls: Vec<String>,
    /// Where a registry may listen that this engine speaks HTTP with; any port for Docker.
    registries: Mutex<Vec<u16>>,
    process: Seat,
}

impl Engine {
    /// Starts a Docker engine and puts the image into it.
    pub async fn start() -> Result<Self> {
        Self::start_as(Kind::Docker).await
    }

    /// Starts an engine of this kind and puts the image into it.
    pub async fn start_as(kind: Kind) -> Result<Self> {
        Self::start_in(kind, process::directory("engine")?, Vec::new()).await
    }

    /// Starts one that also listens on this loopback port, for clients with a certificate of this authority.
    pub async fn start_with_tls(port: u16, certificates: &Certificates) -> Result<Self> {
        let file = |path: PathBuf| path.display().to_string();
        let tls = vec![
            "-H".to_owned(),
            format!("tcp://127.0.0.1:{port}"),
            "--tlsverify".to_owned(),
            "--tlscacert".to_owned(),
            file(certificates.ca()),
            "--tlscert".to_owned(),
            file(certificates.server()),
            "--tlskey".to_owned(),
            file(certificates.server_key()),
        ];
        Self::start_in(Kind::Docker, process::directory("engine")?, tls).await
    }

    async fn start_in(kind: Kind, directory: PathBuf, tls: Vec<String>) -> Result<Self> {
        let registries = if kind.is_podman() { podman::prepare(&directory, kind)? } else { prepare(&directory)? };
        let registries = Mutex::new(registries);
        let daemon = Daemon { kind, directory, tls, registries, process: Seat::default() };
        let engine = Self { daemon: Arc::new(daemon) };
        engine.start_daemon().await?;
        engine.make_image(IMAGE, &[]).await?;
        Ok(engine)
    }

    /// The engine that the tests of one process share. Other tests' containers are in it too: a test that
    /// restarts it or looks at the whole list starts its own.
    pub async fn shared() -> Result<Self> {
        static SHARED: OnceCell<Engine> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await.cloned()
    }

    /// Which engine it is.
    pub fn kind(&self) -> Kind {
        self.daemon.kind
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        let socket = if self.kind().is_podman() { "runtime/podman.sock" } else { "docker.sock" };
        self.daemon.directory.join(socket)
    }

    /// How this engine names an image that is named so: Podman names its registry too.
    pub fn names(&self, image: &str) -> String {
        if self.kind().is_podman() { format!("docker.io/library/{image}") } else { image.to_owned() }
    }

    /// A free port on which a registry needs no TLS for this engine.
    pub fn registry_port(&self) -> Result<u16> {
        if !self.kind().is_podman() {
            return port::free();
        }
        let mut ports = self.daemon.registries.lock().unwrap_or_else(PoisonError::into_inner);
        ports.pop().context("this Podman has no port left for a registry")
    }

    /// `unix://` and the path, for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The daemon's process id.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.process.ask(Process::pid)
    }

    /// A new client. Not kept: a connection belongs to the runtime of the test that opened it.
    pub fn client(&self) -> Result<Docker> {
        let socket = self.socket();
        Docker::connect_with_unix(&socket.to_string_lossy(), 120, API_DEFAULT_VERSION)
            .with_context(|| format!("the engine's socket {}", socket.display()))
    }

    /// Stops the daemon (its containers end, as at a host's shutdown) and starts it on the same data.
    pub async fn restart(&self) -> Result<()> {
        self.stop_daemon().await?;
        self.start_daemon().await
    }

    /// Kills the daemon with SIGKILL and starts it on the same data.
    pub async fn restart_by_kill9(&self) -> Result<()> {
        self.kill9_daemon().await?;
        self.start_daemon().await
    }

    /// Stops the daemon with SIGTERM and waits for its end.
    pub async fn stop_daemon(&self) -> Result<()> {
        self.daemon.process.terminate(DEADLINE).await
    }

    /// Kills the daemon with SIGKILL and waits for its end; its containers go on meanwhile.
    pub async fn kill9_daemon(&self) -> Result<()> {
        self.daemon.process.kill9(DEADLINE).await
    }

    /// SIGSTOP for the daemon: its socket stays open and answers nothing.
    pub fn freeze(&self) {
        self.daemon.process.ask(Process::stop);
    }

    /// SIGCONT for the daemon.
    pub fn thaw(&self) {
        self.daemon.process.ask(Process::cont);
    }

    /// Starts the daemon after `stop_daemon` or `kill9_daemon`, and waits until it answers.
    pub async fn start_daemon(&self) -> Result<()> {
        let directory = &self.daemon.directory;
        let launch = match self.kind() {
            Kind::Docker => self.docker_launch()?,
            Kind::Podman | Kind::RootlessPodman => podman::launch(directory, &self.host()),
        };
        self.daemon.process.start(&launch)?;
        until("the engine to answer", DEADLINE, async || {
            if let Err(ended) = self.daemon.process.check_running() {
                return Ok(Err(ended));
            }
            let pong = self.client()?.ping().await;
            pong.map(|_| Ok(())).context("no answer on the socket")
        })
        .await?
    }

    fn docker_launch(&self) -> Result<Launch> {
        let directory = &self.daemon.directory;
        let group = fs::metadata(directory).context("the engine's directory")?.gid();
        let path = |name: &str| directory.join(name).display().to_string();
        let launch = Launch::new("sh", directory.join("log"))
            .args(["-c", START, "dockerd", &directory.display().to_string()])
            .args(["--config-file", &path("daemon.json"), "--data-root", &path("data")])
            .args(["--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--containerd", &path("containerd.sock"), "-H", &self.host()])
            .args(["--group", &group.to_string(), "--shutdown-timeout", "5"])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--ip-forward=false", "--userland-proxy=false"])
            .args(self.daemon.tls.iter().map(String::as_str))
            .env("PATH", process::SYSTEM_PATH)
            .grace(Duration::from_secs(20))
            .privileged()
            .owns(directory)
            .finally(END_CONTAINERS);
        Ok(launch)
    }

    /// The last lines of the daemon's log.
    pub fn tail(&self) -> String {
        self.daemon.process.ask(Process::tail).unwrap_or_default()
    }

    /// Makes an image that no other test has a name for; its name begins so.
    pub async fn own_image(&self, begin: &str) -> Result<String> {
        let name = format!("{}:1", self.unique(begin));
        self.make_image(&name, &[]).await?;
        Ok(name)
    }

    /// Makes an image of busybox with this name, changed by lines of a Dockerfile (`ENV A=b`, `CMD ["sleep", "9"]`).
    pub async fn make_image(&self, name: &str, changes: &[&str]) -> Result<()> {
        // Several tests may do so at a time.
        let scratch = tempfile::tempdir().context("a directory for the image")?;
        self.import(name, image::root_filesystem(scratch.path())?, changes).await
    }

    /// The same with files of this host, each with its place in the image, and their libraries.
    pub async fn make_image_with(&self, name: &str, files: &[(&Path, &str)], changes: &[&str]) -> Result<()> {
        let scratch = tempfile::tempdir().context("a directory for the image")?;
        self.import(name, image::with_files(scratch.path(), files)?, changes).await
    }

    async fn import(&self, name: &str, archive: Vec<u8>, changes: &[&str]) -> Result<()> {
        let (repository, tag) = name.rsplit_once(':').context("the image's name has a tag")?;
        let changes = changes.iter().map(|line| (*line).to_owned()).collect();
        let options = CreateImageOptionsBuilder::new().from_src("-").changes(changes);
        // Podman leaves the tag of what is imported away, unless it is a part of the name.
        let options = if self.kind().is_podman() { options.repo(name) } else { options.repo(repository).tag(tag) };
        let options = options.build();
        let body = bollard::body_full(archive.into());
        let client = self.client()?.with_request_modifier(|mut request| {
            // Podman takes each change for itself.
            let apart = request.uri().to_string().replace("%0A", "&changes=");
            *request.uri_mut() = apart.parse().unwrap_or_default();
            request
        });
        let client = if self.kind().is_podman() { client } else { self.client()? };
        let progress = client.create_image(Some(options), Some(body), None);
        progress.try_collect::<Vec<_>>().await.with_context(|| format!("importing the image {name}")).map(drop)
    }
}

/// Writes the files of a Docker engine.
fn prepare(directory: &Path) -> Result<Vec<u16>> {
    // The daemon must not read the configuration of the host's own engine.
    fs::write(directory.join("daemon.json"), "{}").context("the engine's configuration")?;
    let containerd = include_str!("engine/containerd.toml");
    let containerd = containerd.replace("DIRECTORY", &directory.display().to_string());
    fs::write(directory.join("containerd.toml"), containerd).context("the configuration of containerd")?;
    Ok(Vec::new())
}
