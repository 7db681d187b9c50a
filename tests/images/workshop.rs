//! Builds images with the `Dockerfile`, in the engine that the tests share. An image whose sources have not changed
//! is taken from the shelf.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use radar_tests::engine::Engine;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::stand_in;

/// What the images are told to be made from.
pub(crate) const COMMIT: &str = "abc1234";

/// `DOCKER_BUILDKIT` of the builder that old engines have, and of the new one.
const CLASSIC: &str = "0";
const BUILDKIT: &str = "1";

/// One of the two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The target of the `Dockerfile`.
    pub(crate) target: &'static str,
    /// As the builder calls it: amd64, arm64, arm.
    pub(crate) processor: &'static str,
    /// Of `arm`.
    pub(crate) variant: &'static str,
    profile: &'static str,
}

/// As it is released.
pub(crate) const AGENT: Kind = Kind { target: "agent", processor: "amd64", variant: "", profile: "release" };
pub(crate) const BRIDGE: Kind = Kind { target: "bridge", ..AGENT };
/// Built quickly, to see that they run.
pub(crate) const ARM64_AGENT: Kind = Kind { processor: "arm64", profile: "dev", ..AGENT };
pub(crate) const ARM64_BRIDGE: Kind = Kind { target: "bridge", ..ARM64_AGENT };
pub(crate) const ARMV7_AGENT: Kind = Kind { processor: "arm", variant: "v7", ..ARM64_AGENT };
pub(crate) const ARMV7_BRIDGE: Kind = Kind { target: "bridge", ..ARMV7_AGENT };

impl Kind {
    /// Its name in an engine.
    pub(crate) fn name(self) -> String {
        format!("radar-{}:{}{}", self.target, self.processor, self.variant)
    }

    /// Both are seen to work: the classic one builds for the machine's own processor, as it can.
    fn builder(self) -> &'static str {
        if self.processor == "amd64" { CLASSIC } else { BUILDKIT }
    }

    fn platform(self) -> String {
        let variant = if self.variant.is_empty() { "" } else { "/" };
        format!("linux/{}{variant}{}", self.processor, self.variant)
    }
}

/// The engine with this image, and the image's name; none where it cannot be made, which is said on standard error.
pub(crate) async fn image(kind: Kind) -> Result<Option<(Engine, String)>> {
    let engine = Engine::shared().await?;
    Ok(put(&engine, kind).await?.map(|name| (engine, name)))
}

/// Puts the image into this engine.
pub(crate) async fn put(engine: &Engine, kind: Kind) -> Result<Option<String>> {
    // One after the other: a build has all processors, and the second one goes on where the first one has ended.
    static BENCH: Mutex<()> = Mutex::const_new(());
    let _turn = BENCH.lock().await;
    let (host, name) = (engine.host(), kind.name());
    if docker(&host, &["image", "inspect", &name]).await.is_ok() {
        return Ok(Some(name));
    }
    let shelved = shelved(kind).await?;
    let file = shelved.display().to_string();
    if shelved.exists() {
        docker(&host, &["load", "--quiet", "--input", &file]).await?;
        return Ok(Some(name));
    }
    // With the crates and the compilers in it, and so in one engine only.
    let shared = Engine::shared().await?.host();
    let mut made = stand_in::put(&shared, kind.processor).await?;
    if made.is_ok() {
        made = build(&shared, kind, &name).await?;
    }
    if let Err(reason) = made {
        let what = format!("skipped: the image {name} was not built: {reason}\n");
        // Not by a macro, whose output a test that passes hides.
        std::io::stderr().write_all(what.as_bytes())?;
        return Ok(None);
    }
    docker(&shared, &["save", "--output", &file, &name]).await?;
    docker(&host, &["load", "--quiet", "--input", &file]).await?;
    Ok(Some(name))
}

/// What the builder is told.
fn arguments(kind: Kind) -> Vec<String> {
    let mut told = vec![
        format!("BUILD_IMAGE={}", stand_in::NAME),
        // Debian's Rust has no other.
        "LIBC=gnu".to_owned(),
        format!("PROFILE={}", kind.profile),
        format!("VERSION={}", env!("CARGO_PKG_VERSION")),
        format!("COMMIT={COMMIT}"),
        "SOURCE=https://radar.example/edge".to_owned(),
    ];
    // BuildKit knows by itself.
    if kind.builder() == CLASSIC {
        told.push(format!("TARGETARCH={}", kind.processor));
    }
    told
}

/// Builds it; the reason where the client of this machine cannot.
async fn build(host: &str, kind: Kind, name: &str) -> Result<Result<(), String>> {
    let (platform, arguments) = (kind.platform(), arguments(kind));
    let mut words = vec!["build", "--network", "host", "--platform", &platform, "--target", kind.target, "--tag", name];
    words.extend(arguments.iter().flat_map(|argument| ["--build-arg", argument]));
    words.push(".");
    match client(host, kind.builder(), &words).await {
        Err(error) if error.to_string().contains("buildx component is missing") => {
            Ok(Err("this machine's docker has no BuildKit: install docker-buildx".to_owned()))
        }
        other => other.map(|_| Ok(())),
    }
}

/// The file of an image, named after all that it is made from; those of older sources are removed.
async fn shelved(kind: Kind) -> Result<PathBuf> {
    const SUM: &str = "{ echo \"$1\"; tar --sort=name --mtime=@0 --owner=0 --group=0 --mode=0 -cf - Dockerfile \
                       .dockerignore Cargo.toml Cargo.lock tests/Cargo.toml tests/images/stand-in deploy/image src \
                       broker/Cargo.toml broker/src broker/connect broker/link broker/wire; } | sha256sum";
    let told = arguments(kind).join(" ");
    let sum = Command::new("sh").args(["-c", SUM, "sum", &told]).current_dir(repository()).output().await;
    let sum = sum.context("the sum of the sources")?;
    ensure!(sum.status.success(), "{}", String::from_utf8_lossy(&sum.stderr));
    let sum = String::from_utf8_lossy(&sum.stdout);
    let begin = format!("{}-{}{}-", kind.target, kind.processor, kind.variant);
    let name = format!("{begin}{}.tar", sum.get(..16).context("a sum")?);
    let shelf = stand_in::shelf()?;
    for entry in fs::read_dir(&shelf)? {
        let known = entry?.file_name().to_string_lossy().into_owned();
        if known.starts_with(&begin) && known != name {
            fs::remove_file(shelf.join(known))?;
        }
    }
    Ok(shelf.join(name))
}

/// Runs the client of the engine, without what its user has set; what it printed.
pub(crate) async fn docker(host: &str, arguments: &[&str]) -> Result<String> {
    client(host, CLASSIC, arguments).await.map(|(printed, _)| printed)
}

/// What the program of a container has said so far.
pub(crate) async fn log(host: &str, container: &str) -> Result<String> {
    client(host, CLASSIC, &["logs", container]).await.map(|(printed, said)| printed + &said)
}

async fn client(host: &str, builder: &str, arguments: &[&str]) -> Result<(String, String)> {
    // The one of the package that the engine is from, where there are several.
    let packaged = Path::new("/usr/bin/docker");
    let configuration = tempfile::tempdir().context("a directory for the client")?;
    let mut command = Command::new(if packaged.exists() { packaged } else { Path::new("docker") });
    command.args(arguments).current_dir(repository()).stdin(Stdio::null()).kill_on_drop(true);
    command.env("DOCKER_HOST", host).env("DOCKER_CONFIG", configuration.path()).env("DOCKER_BUILDKIT", builder);
    command.env_remove("DOCKER_CONTEXT").env_remove("DOCKER_DEFAULT_PLATFORM").env_remove("DOCKER_TLS_VERIFY");
    let output = command.output().await.context("docker")?;
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = printed.lines().chain(said.lines()).collect();
    let last = lines[lines.len().saturating_sub(40)..].join("\n");
    ensure!(output.status.success(), "docker {}: {last}", arguments.join(" "));
    Ok((printed.into_owned(), said.into_owned()))
}

/// The top of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
