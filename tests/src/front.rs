//! A real web server (Debian's `nginx`) on loopback that ends TLS before a broker's WebSocket, with the configuration
//! that we hand out: `deploy/nginx/mqtt.conf`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::certificates::Certificates;
use crate::port;
use crate::process::{self, Launch, Process, Seat};

const DEADLINE: Duration = Duration::from_secs(10);
/// What the handed-out configuration has, and a test has another for.
const BROKER: &str = "127.0.0.1:9001";
const TIMEOUT: &str = "150s";

/// What we hand out.
pub fn configuration() -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx/mqtt.conf");
    fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// A web server; everything of it is gone when it is dropped.
#[derive(Debug)]
pub struct Front {
    directory: PathBuf,
    port: u16,
    process: Seat,
}

impl Front {
    /// Starts one with these certificates before a broker's WebSocket on this port; it cuts what is silent for so long.
    pub async fn open(certificates: &Certificates, broker: u16, silence: &str) -> Result<Self> {
        let front = Self { directory: process::directory("front")?, port: port::free()?, process: Seat::default() };
        let text = configuration()?;
        ensure!(text.contains(BROKER) && text.contains(TIMEOUT), "it has another broker or another limit");
        let text = text.replace(BROKER, &format!("127.0.0.1:{broker}")).replace(TIMEOUT, silence);
        fs::write(front.file("mqtt.conf"), text).context("its part")?;
        let (room, port) = (front.directory.display(), front.port);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {room}/{kind};\n"))
            .concat();
        let whole = format!(
            "daemon off;\nuser root;\npid {room}/pid;\nerror_log stderr;\nworker_processes 1;\nevents {{}}\nhttp {{\n{temporary}\
                 access_log {room}/requests;\n    server {{\n        listen 127.0.0.1:{port} ssl;\n\
                 ssl_certificate {};\n        ssl_certificate_key {};\n        include {room}/mqtt.conf;\n    }}\n}}\n",
            certificates.server().display(),
            certificates.server_key().display(),
        );
        fs::write(front.file("conf"), whole).context("its configuration")?;
        let launch = Launch::new("nginx", front.file("log"))
            .args(["-e", "stderr", "-c"])
            .args([front.file("conf")])
            .env("PATH", process::SYSTEM_PATH)
            .owns(&front.directory);
        front.process.start(&launch)?;
        front.process.listens("the web server", front.port, DEADLINE).await?;
        Ok(front)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it was asked; a connection is told when it has ended.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("requests")).unwrap_or_default()
    }

    /// The last lines of what it said.
    pub fn tail(&self) -> String {
        self.process.ask(Process::tail).unwrap_or_default()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
