//! A private Mosquitto on a free loopback port, killed when it is dropped.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use radar_link::mqtt::Settings;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub(crate) struct Broker {
    room: TempDir,
    port: u16,
    child: Option<Child>,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Broker {
    /// A broker for anybody, without memory on disk.
    pub(crate) async fn start() -> Self {
        Self::with("allow_anonymous true\n").await
    }

    /// A broker with these lines in its configuration; `{room}` stands for its directory.
    pub(crate) async fn with(lines: &str) -> Self {
        let room = tempfile::tempdir().unwrap();
        Self::in_room(room, lines).await
    }

    pub(crate) async fn in_room(room: TempDir, lines: &str) -> Self {
        let port = free_port();
        let mut text = format!("listener {port} 127.0.0.1\nlog_dest none\nuser root\nmax_queued_messages 100000\n");
        let _ = write!(text, "{}", lines.replace("{room}", &room.path().display().to_string()));
        fs::write(room.path().join("mosquitto.conf"), text).unwrap();
        let mut broker = Self { room, port, child: None };
        broker.run().await;
        broker
    }

    /// Starts it (again), and waits until it listens.
    pub(crate) async fn run(&mut self) {
        let child = Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(self.room.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            // It warns of root each time; that it does not listen is seen.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.child = Some(child);
        tokio::time::timeout(Duration::from_secs(10), async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("mosquitto does not listen");
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Settings for a client of it, with short waits.
    pub(crate) fn client(&self, id: &str) -> Settings {
        client(&format!("mqtt://127.0.0.1:{}", self.port), id)
    }
}

pub(crate) fn client(url: &str, id: &str) -> Settings {
    let mut settings = Settings::new(url.parse().unwrap(), id);
    settings.reconnect.first = Duration::from_millis(50);
    settings.reconnect.most = Duration::from_millis(300);
    settings.reconnect.timeout = Duration::from_secs(5);
    settings
}

/// A certificate authority and what it signs, made by openssl.
pub(crate) struct Authority {
    room: PathBuf,
    name: &'static str,
}

impl Authority {
    pub(crate) async fn new(room: &Path, name: &'static str) -> Self {
        let authority = Self { room: room.to_owned(), name };
        let (key, cert) = (authority.file(name, "key"), authority.file(name, "pem"));
        let subject = format!("/CN={name}");
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &subject,
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            &key,
            "-out",
            &cert,
        ])
        .await;
        authority
    }

    /// The authority's certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.file(self.name, "pem").into()
    }

    /// Signs a certificate (version 3, since it has extensions): its file and that of its key.
    pub(crate) async fn sign(&self, name: &str, alternative: &str, days: &str) -> (PathBuf, PathBuf) {
        let extensions = format!("subjectAltName={alternative}\nbasicConstraints=CA:FALSE\n");
        self.issue(name, &extensions, &["-days", days]).await
    }

    /// One with these extensions; without any it is of version 1.
    pub(crate) async fn issue(&self, name: &str, extensions: &str, more: &[&str]) -> (PathBuf, PathBuf) {
        let (key, request, cert) = self.request(name).await;
        let (own, own_key, file) = (self.file(self.name, "pem"), self.file(self.name, "key"), self.file(name, "ext"));
        let mut arguments = vec!["x509", "-req", "-in", &request, "-CA", &own, "-CAkey", &own_key, "-CAcreateserial"];
        if !extensions.is_empty() {
            fs::write(&file, extensions).unwrap();
            arguments.extend(["-extfile", &file]);
        }
        arguments.extend(["-out", &cert]);
        arguments.extend(more);
        openssl(&arguments).await;
        (cert.into(), key.into())
    }

    /// One that is valid between two dates (`20400101000000Z`), for `localhost`.
    pub(crate) async fn issue_between(&self, name: &str, from: &str, until: &str) -> (PathBuf, PathBuf) {
        let (key, request, cert) = self.request(name).await;
        let (own, own_key) = (self.file(self.name, "pem"), self.file(self.name, "key"));
        let (config, index) = (self.file(name, "cnf"), self.file(name, "index"));
        let room = self.room.display();
        let text = format!(
            "[ca]\ndefault_ca=own\n[own]\ndatabase={index}\nserial={index}.serial\nnew_certs_dir={room}\npolicy=any\n[any]\ncommonName=supplied\n\
             [leaf]\nsubjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n"
        );
        fs::write(&config, text).unwrap();
        fs::write(&index, "").unwrap();
        let begin = ["ca", "-batch", "-notext", "-rand_serial", "-md", "sha256", "-config", &config, "-cert", &own];
        let end = ["-keyfile", &own_key, "-in", &request, "-out", &cert, "-extensions", "leaf"];
        openssl(&[&begin[..], &end, &["-startdate", from, "-enddate", until]].concat()).await;
        (cert.into(), key.into())
    }

    async fn request(&self, name: &str) -> (String, String, String) {
        let (key, request, cert) = (self.file(name, "key"), self.file(name, "csr"), self.file(name, "pem"));
        let subject = format!("/CN={name}");
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let rest = ["-subj", &subject, "-keyout", &key, "-out", &request];
        openssl(&[&["req", "-new"], &curve[..], &rest].concat()).await;
        (key, request, cert)
    }

    /// The key of the authority.
    pub(crate) fn key(&self) -> PathBuf {
        self.file(self.name, "key").into()
    }

    fn file(&self, name: &str, ending: &str) -> String {
        self.room.join(format!("{name}.{ending}")).display().to_string()
    }
}

async fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
