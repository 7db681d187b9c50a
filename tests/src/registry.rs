//! A real image registry (Debian's `docker-registry`) on loopback with data of its own, open or with a password, for
//! images that an engine pulls. Docker speaks HTTP with registries on loopback, Podman where it is told so.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::TryStreamExt;
use serde_json::json;

use crate::engine::Engine;
use crate::port;
use crate::process::{self, Launch, Process, Seat};

/// Who may use a registry that asks.
pub const USER: &str = "test";
/// Its password.
pub const PASSWORD: &str = "test-password";
/// The password as bcrypt has it, in 2^4 rounds.
const HASHED: &str = "$2b$04$.4cOFFiOR2yEN.NJl9nWruMWhm8v0QX9HwA13pPEj8amSzQToKhqu";

const DEADLINE: Duration = Duration::from_secs(10);

/// A registry; everything of it is gone when it is dropped.
#[derive(Debug)]
pub struct Registry {
    directory: PathBuf,
    port: u16,
    process: Seat,
}

impl Registry {
    /// Starts one that lets everybody in.
    pub async fn open() -> Result<Self> {
        Self::start_as(false, port::free()?).await
    }

    /// Starts one that lets everybody in, and with which this engine speaks HTTP.
    pub async fn open_for(engine: &Engine) -> Result<Self> {
        Self::start_as(false, engine.registry_port()?).await
    }

    /// Starts one that asks for [`USER`] and [`PASSWORD`].
    pub async fn with_password() -> Result<Self> {
        Self::start_as(true, port::free()?).await
    }

    /// The same, and this engine speaks HTTP with it.
    pub async fn with_password_for(engine: &Engine) -> Result<Self> {
        Self::start_as(true, engine.registry_port()?).await
    }

    async fn start_as(asks: bool, port: u16) -> Result<Self> {
        let directory = process::directory("registry")?;
        let registry = Self { directory, port, process: Seat::default() };
        let users = registry.directory.join("users");
        fs::write(&users, format!("{USER}:{HASHED}\n")).context("the registry's users")?;
        // YAML takes JSON.
        let mut configuration = json!({
            "version": 0.1,
            "log": { "level": "warn" },
            "storage": {
                "filesystem": { "rootdirectory": registry.directory.join("data") },
                "delete": { "enabled": true },
            },
            "http": { "addr": registry.host() },
        });
        if asks {
            configuration["auth"] = json!({ "htpasswd": { "realm": "test", "path": users } });
        }
        fs::write(registry.directory.join("config.yml"), configuration.to_string())
            .context("the registry's configuration")?;
        registry.start().await?;
        Ok(registry)
    }

    /// Its name in the names of images: `127.0.0.1:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&self) -> Result<()> {
        self.process.terminate(DEADLINE).await
    }

    /// Starts it (again) on the same port and data, and waits until it listens.
    pub async fn start(&self) -> Result<()> {
        let launch = Launch::new("docker-registry", self.directory.join("log"))
            .args([PathBuf::from("serve"), self.directory.join("config.yml")])
            .env("PATH", process::SYSTEM_PATH)
            .env("OTEL_TRACES_EXPORTER", "none")
            .owns(&self.directory);
        self.process.start(&launch)?;
        self.process.listens("the registry", self.port, DEADLINE).await
    }

    /// Pushes an image that the engine has, as `name` (`web:1`); its whole name in this registry.
    pub async fn push(&self, engine: &Engine, image: &str, name: &str) -> Result<String> {
        let client = engine.client()?;
        let (name, tag) = name.split_once(':').context("the name has a tag")?;
        let repository = format!("{}/{name}", self.host());
        let tagged = TagImageOptionsBuilder::new().repo(&repository).tag(tag).build();
        client.tag_image(image, Some(tagged)).await.with_context(|| format!("the image {image}"))?;
        let credentials = DockerCredentials {
            username: Some(USER.to_owned()),
            password: Some(PASSWORD.to_owned()),
            ..DockerCredentials::default()
        };
        let options = PushImageOptionsBuilder::new().tag(tag).build();
        let pushed = client.push_image(&repository, Some(options), Some(credentials));
        pushed.try_collect::<Vec<_>>().await.with_context(|| format!("pushing {repository}:{tag}"))?;
        Ok(format!("{repository}:{tag}"))
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        self.process.ask(Process::tail).unwrap_or_default()
    }
}
