//! `deploy/install` as `deploy/release` makes it, against every way in which a download can be wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use radar_tests::disk::Disk;
use radar_tests::process;
use radar_tests::programs::{built, put};
use tempfile::TempDir;
use tokio::process::Command;

use crate::file;
use crate::site::{Site, Way};
use crate::tools::Tools;

const VERSION: &str = "1.2.3";
const AGENT: &str = "radar-agent-1.2.3-amd64";
const OLD: &str = "the program that was there";

/// A site with a signed release, and a machine on which it is to be installed.
struct Scene {
    site: Site,
    room: TempDir,
}

/// What became of it.
struct Ended {
    done: bool,
    said: String,
}

impl Scene {
    async fn set() -> Result<Self> {
        let scene = Self { site: Site::serve().await?, room: tempfile::tempdir_in("/tmp")? };
        scene.release(VERSION).await?;
        Ok(scene)
    }

    /// Puts a release onto the site, in place of the one that is there.
    async fn release(&self, version: &str) -> Result<()> {
        let files = self.site.files();
        for arch in ["amd64", "arm64", "armv7"] {
            for program in ["radar-agent", "radar-bridge", "radar"] {
                let body = format!("#!/bin/sh\n# for {arch}\necho '{program} {version} (0123abc)'\n");
                fs::write(files.join(format!("{program}-{version}-{arch}")), body)?;
            }
        }
        self.sign(version, &self.key().await?).await
    }

    /// A key for releases, made once.
    async fn key(&self) -> Result<PathBuf> {
        self.new_key("release.key").await
    }

    async fn new_key(&self, name: &str) -> Result<PathBuf> {
        let key = self.room.path().join(name);
        let mut make = Command::new(built().await?.join("radar-bridge"));
        ensure!(make.arg("sign").arg("--key").arg(&key).arg("/bin/sh").output().await?.status.success());
        Ok(key)
    }

    async fn sign(&self, version: &str, key: &Path) -> Result<()> {
        let mut release = Command::new(file("deploy/release"));
        release.arg("--files").arg(self.site.files()).args(["--version", version]);
        release.args(["--from", &self.site.address()]).arg("--key").arg(key);
        release.arg("--bridge").arg(built().await?.join("radar-bridge"));
        let output = release.output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Signs what the sums are now, whatever they say, as somebody does who has the key.
    async fn sign_sums(&self) -> Result<()> {
        let mut sign = Command::new(built().await?.join("radar-bridge"));
        sign.args(["sign", "--json", "--key"]).arg(self.key().await?).arg(self.site.files().join("SHA256SUMS"));
        let said: serde_json::Value = serde_json::from_slice(&sign.output().await?.stdout)?;
        let signature = said["signature"].as_str().context("a signature")?;
        Ok(fs::write(self.site.files().join("SHA256SUMS.sig"), signature)?)
    }

    fn root(&self) -> PathBuf {
        self.room.path().join("root")
    }

    fn program(&self) -> PathBuf {
        self.root().join("usr/local/bin/radar-agent")
    }

    /// Runs the script of the release on a machine with these programs.
    async fn install(&self, tools: &Tools, arguments: &[&str]) -> Result<Ended> {
        let mut install = Command::new(self.site.files().join("install"));
        install.args(arguments).arg("--root").arg(self.root());
        install.env_clear().env("PATH", tools.path()).envs(self.site.trust());
        let output = install.output().await?;
        let said = [output.stdout, output.stderr].concat();
        Ok(Ended { done: output.status.success(), said: String::from_utf8_lossy(&said).into_owned() })
    }

    /// It must fail, say this, and leave all as it was.
    async fn refuses(&self, what: &str, tools: &Tools, arguments: &[&str], reason: &str) -> Result<()> {
        fs::create_dir_all(self.program().parent().context("a directory")?)?;
        fs::write(self.program(), OLD)?;
        let ended = self.install(tools, arguments).await?;
        ensure!(!ended.done, "{what}: it was installed: {}", ended.said);
        ensure!(ended.said.contains(reason), "{what}: it does not say {reason:?}: {}", ended.said);
        ensure!(ended.said.ends_with("install: nothing was installed\n"), "{what}: {}", ended.said);
        ensure!(fs::read_to_string(self.program())? == OLD, "{what}: the old program is gone");
        let left = fs::read_dir(self.root().join("usr/local/bin"))?.count();
        ensure!(left == 1 && !self.root().join("etc").exists(), "{what}: something was left behind");
        Ok(())
    }

    /// The same, while the site gives a file in this way.
    async fn refuses_given(&self, name: &str, way: Way, tools: &Tools, reason: &str) -> Result<()> {
        let what = format!("{name} {way:?}").chars().take(80).collect::<String>();
        self.site.give(name, way);
        self.refuses(&what, tools, &[], reason).await?;
        self.site.give_simply(name);
        Ok(())
    }

    fn sums(&self) -> Result<String> {
        Ok(fs::read_to_string(self.site.files().join("SHA256SUMS"))?)
    }
}

/// A machine on which all is well.
fn machine(downloader: &str) -> Result<Tools> {
    Tools::with(&[downloader, "openssl"])?.script("uname", "echo x86_64")
}

// BD1, BD3
#[tokio::test]
async fn a_signed_release_is_installed_from_a_site_and_from_a_directory() -> Result<()> {
    let scene = Scene::set().await?;
    for downloader in ["curl", "wget"] {
        fs::create_dir_all(scene.program().parent().context("a directory")?)?;
        fs::write(scene.program(), OLD)?;
        // As a large host does it that hands the files to another one.
        scene.site.give(AGENT, Way::Elsewhere(format!("{}/{AGENT}?where=else", scene.site.address())));
        let ended = scene.install(&machine(downloader)?, &[]).await?;
        ensure!(ended.done, "{downloader}: {}", ended.said);
        assert_eq!(fs::read(scene.program())?, fs::read(scene.site.files().join(AGENT))?);
        assert_eq!(fs::metadata(scene.program())?.permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(scene.root().join("usr/local/bin"))?.count(), 1);
        fs::remove_dir_all(scene.root())?;
    }
    let files = scene.site.files().display().to_string();
    for (machine, arch) in [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "armv7"), ("armv8l", "armv7")] {
        let tools = Tools::with(&["openssl"])?.script("uname", &format!("echo {machine}"))?;
        let ended = scene.install(&tools, &["radar", "--from", &files, "--to", "/opt/bin"]).await?;
        ensure!(ended.done, "{machine}: {}", ended.said);
        let there = fs::read_to_string(scene.root().join("opt/bin/radar"))?;
        assert!(there.contains(&format!("# for {arch}\n")), "{machine}: {there}");
    }
    Ok(())
}

// BD1
#[tokio::test]
async fn a_service_gets_its_unit_and_keeps_its_settings() -> Result<()> {
    let scene = Scene::set().await?;
    let (etc, tools) = (scene.root().join("etc"), machine("curl")?);
    for program in ["radar-agent", "radar-bridge"] {
        let ended = scene.install(&tools, &[program, "--systemd"]).await?;
        ensure!(ended.done, "{}", ended.said);
        let unit = fs::read_to_string(etc.join(format!("systemd/system/{program}.service")))?;
        assert!(unit.contains(&format!("\nExecStart=/usr/local/bin/{program}\n")), "{unit}");
        let settings = etc.join("radar").join(format!("{}.env", program.trim_start_matches("radar-")));
        assert_eq!(fs::metadata(&settings)?.permissions().mode() & 0o777, 0o640);
        fs::write(&settings, "MQTT_URL=mqtts://broker.lan:8883\n")?;
        ensure!(scene.install(&tools, &[program, "--systemd"]).await?.done);
        assert_eq!(fs::read_to_string(&settings)?, "MQTT_URL=mqtts://broker.lan:8883\n");
    }
    Ok(())
}

// BD1: on a machine whose /etc is the test's own.
#[tokio::test]
async fn a_service_gets_the_user_or_the_group_that_its_unit_names() -> Result<()> {
    let scene = Scene::set().await?;
    let files = scene.site.files().display().to_string();
    let log = scene.room.path().join("log");
    // Debian's awk is there.
    const ETC: &str = "mount -t tmpfs none /mnt; cp -a /etc/alternatives /mnt/; mount --move /mnt /etc\n\
                       exec env -i PATH=\"$@\"";
    for (program, known, made) in [
        ("radar-agent", "exit 2", "groupadd --system docker\n"),
        ("radar-agent", "exit 0", ""),
        ("radar-bridge", "exit 2", "useradd --system --user-group "),
    ] {
        fs::write(&log, "")?;
        let note = format!("echo \"${{0##*/}} $*\" >>{}", log.display());
        let tools = machine("curl")?.script("getent", known)?.script("systemctl", "")?;
        let tools = tools.script("groupadd", &note)?.script("useradd", &note)?;
        let unshare: &[&str] = if process::is_root() { &["unshare"] } else { &["sudo", "-n", "unshare"] };
        let mut install = Command::new(unshare[0]);
        install.args(&unshare[1..]).args(["--mount", "sh", "-ec"]);
        install.args([ETC, "-"]).arg(tools.path());
        install.arg(scene.site.files().join("install")).args([program, "--systemd", "--from", &files, "--to"]);
        let output = install.arg(scene.room.path().join("bin")).output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let log = fs::read_to_string(&log)?;
        ensure!(log.is_empty() == made.is_empty() && log.starts_with(made), "{program} {known}: {log}");
    }
    Ok(())
}

// BD3
#[tokio::test]
async fn what_is_damaged_on_its_way_or_changed_is_not_installed() -> Result<()> {
    let scene = Scene::set().await?;
    let sums = scene.sums()?;
    let other_agent = b"#!/bin/sh\necho radar-agent 1.2.3\n".to_vec();
    let bridge = fs::read(scene.site.files().join("radar-bridge-1.2.3-amd64"))?;
    let signature_of_agent = fs::read(scene.site.files().join(format!("{AGENT}.sig")))?;
    let line = sums.lines().find(|line| line.ends_with(AGENT)).context("the agent's sum")?;
    let sums_changed = sums.replace(&line[..64], &"0".repeat(64)).into_bytes();
    let sums_longer = format!("{sums}{}  more\n", "0".repeat(64)).into_bytes();
    let plain = |name: &str| Way::Elsewhere(format!("{}/{name}?plainly", scene.site.plain()));
    for downloader in ["curl", "wget"] {
        let tools = machine(downloader)?;
        for (name, way, reason) in [
            ("SHA256SUMS", Way::Missing, "SHA256SUMS could not be fetched"),
            ("SHA256SUMS.sig", Way::Missing, "SHA256SUMS.sig could not be fetched"),
            (AGENT, Way::Missing, "radar-agent-1.2.3-amd64 could not be fetched"),
            ("SHA256SUMS", Way::Cut, "SHA256SUMS could not be fetched"),
            (AGENT, Way::Cut, "radar-agent-1.2.3-amd64 could not be fetched"),
            ("SHA256SUMS", plain("SHA256SUMS"), "SHA256SUMS could not be fetched"),
            (AGENT, plain(AGENT), "radar-agent-1.2.3-amd64 could not be fetched"),
            (AGENT, Way::Elsewhere(format!("{}/{AGENT}", scene.site.address())), "could not be fetched"),
        ] {
            scene.refuses_given(name, way, &tools, reason).await?;
        }
    }
    let tools = machine("curl")?;
    for (name, way, reason) in [
        ("SHA256SUMS", Way::Half, "the signature of SHA256SUMS is not that of ed25519:"),
        ("SHA256SUMS", Way::Bytes(sums_changed), "the signature of SHA256SUMS is not that of"),
        ("SHA256SUMS", Way::Bytes(sums_longer), "the signature of SHA256SUMS is not that of"),
        ("SHA256SUMS", Way::Bytes(Vec::new()), "the signature of SHA256SUMS is not that of"),
        ("SHA256SUMS.sig", Way::Bytes(Vec::new()), "SHA256SUMS.sig is no signature"),
        ("SHA256SUMS.sig", Way::Half, "SHA256SUMS.sig is no signature"),
        ("SHA256SUMS.sig", Way::Bytes(vec![b'A'; 86]), "the signature of SHA256SUMS is not that of"),
        ("SHA256SUMS.sig", Way::Bytes(signature_of_agent), "the signature of SHA256SUMS is not that of"),
        (AGENT, Way::Half, "it is damaged, or was changed"),
        (AGENT, Way::Bytes(Vec::new()), "it is damaged, or was changed"),
        (AGENT, Way::Bytes(other_agent), "it is damaged, or was changed"),
        (AGENT, Way::Bytes(bridge), "it is damaged, or was changed"),
    ] {
        scene.refuses_given(name, way, &tools, reason).await?;
    }
    // Nobody has said that this site is to be trusted.
    fs::remove_file(&scene.site.trust()[0].1)?;
    scene.refuses("a site that nobody knows", &tools, &[], "SHA256SUMS could not be fetched").await?;
    Ok(())
}

// BD3
#[tokio::test]
async fn what_is_signed_and_still_wrong_is_not_installed() -> Result<()> {
    let scene = Scene::set().await?;
    let (tools, sums) = (machine("curl")?, scene.sums()?);
    let sums_file = scene.site.files().join("SHA256SUMS");
    let line = sums.lines().find(|line| line.ends_with(AGENT)).context("the agent's sum")?;
    for (changed, reason) in [
        (sums.replace(&format!("{line}\n"), ""), "do not have radar-agent-1.2.3-amd64: it is no file of version 1.2.3"),
        (format!("{sums}{}  {AGENT}\n", "0".repeat(64)), "do not have one checksum of radar-agent-1.2.3-amd64"),
        (sums.replace(&line[..64], "0"), "do not have one checksum of radar-agent-1.2.3-amd64"),
    ] {
        fs::write(&sums_file, changed)?;
        scene.sign_sums().await?;
        scene.refuses(reason, &tools, &[], reason).await?;
    }
    // An older release, rightly signed, in place of the one that was asked for.
    let reason = "do not have radar-agent-1.2.4-amd64: it is no file of version 1.2.4";
    fs::write(&sums_file, &sums)?;
    scene.sign_sums().await?;
    scene.refuses("an older release", &tools, &["--version", "1.2.4"], reason).await?;
    // Somebody else's release, signed as rightly.
    let theirs = scene.new_key("theirs.key").await?;
    let script = fs::read(scene.site.files().join("install"))?;
    scene.sign(VERSION, &theirs).await?;
    put(&scene.site.files().join("install"), script)?;
    scene.refuses("another key", &tools, &[], "the signature of SHA256SUMS is not that of ed25519:").await?;
    // What does not run here, and what is another version than it is called.
    for (body, reason) in [
        ("\x7fELF for nobody", "radar-agent-1.2.3-amd64 does not run here"),
        ("#!/bin/sh\necho radar-agent 1.2.2\n", "says that it is 'radar-agent 1.2.2', and not radar-agent 1.2.3"),
        ("#!/bin/sh\necho radar-bridge 1.2.3\n", "says that it is 'radar-bridge 1.2.3', and not radar-agent 1.2.3"),
    ] {
        scene.release(VERSION).await?;
        let old = fs::read_to_string(scene.site.files().join(AGENT))?;
        fs::write(scene.site.files().join(AGENT), body)?;
        let (old, new) = (sha256(old.as_bytes()), sha256(body.as_bytes()));
        fs::write(&sums_file, scene.sums()?.replace(&old, &new))?;
        scene.sign_sums().await?;
        scene.refuses(reason, &tools, &[], reason).await?;
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    let mut hasher = radar_link::jws::Hasher::new();
    hasher.update(bytes);
    hasher.finish().to_string()
}

// BD3
#[tokio::test]
async fn a_machine_that_cannot_verify_installs_nothing() -> Result<()> {
    let scene = Scene::set().await?;
    let lacking = |name: &str| machine("curl")?.without(name);
    let openssl = |body: &str| {
        let real = crate::tools::find("openssl").context("openssl")?;
        machine("curl")?.script("openssl", &format!("[ \"$1\" = pkeyutl ] || exec {} \"$@\"\n{body}", real.display()))
    };
    let damaged = format!("ed25519:{}", "A".repeat(42));
    for (what, tools, arguments, reason) in [
        ("no openssl", lacking("openssl")?, &[][..], "openssl is missing"),
        ("no sha256sum", lacking("sha256sum")?, &[], "sha256sum is missing"),
        ("no downloader", lacking("curl")?, &[], "neither curl nor wget is there"),
        ("an old openssl", openssl("echo 'pkeyutl: Unknown option: -rawin' >&2; exit 1")?, &[], "is older than 3.0"),
        ("an openssl that likes all", openssl("exit 0")?, &[], "the signature of SHA256SUMS is not that of"),
        ("a foreign machine", machine("curl")?.script("uname", "echo riscv64")?, &[], "this machine (riscv64)"),
        ("an old machine", machine("curl")?.script("uname", "echo armv6l")?, &[], "this machine (armv6l)"),
        ("plain HTTP", machine("curl")?, &["--from", "http://localhost:1"], "it is an address with https://"),
        ("no key", machine("curl")?, &["--key", ""], "--key needs a value"),
        ("a damaged key", machine("curl")?, &["--key", &damaged], "--key is damaged"),
        ("another kind of key", machine("curl")?, &["--key", "rsa:AAAA"], "--key is not of the form ed25519:"),
        ("a path for a version", machine("curl")?, &["--version", "../1.2.3"], "is no version"),
        ("two programs", machine("curl")?, &["radar", "radar-bridge"], "one program at a time"),
        ("a service that is none", machine("curl")?, &["radar", "--systemd"], "radar is no service"),
        ("a directory that is here or there", machine("curl")?, &["--to", "bin"], "--to bin: say the whole path"),
        ("an unknown word", machine("curl")?, &["--nope"], "what is '--nope'?"),
    ] {
        scene.refuses(what, &tools, arguments, reason).await?;
    }
    // The script as it is in the repository trusts nobody.
    put(&scene.site.files().join("install"), fs::read(file("deploy/install"))?)?;
    scene.refuses("not of a release", &machine("curl")?, &[], "--from is missing").await?;
    let from = scene.site.address();
    let arguments = ["--from", &from, "--version", VERSION];
    scene.refuses("not of a release", &machine("curl")?, &arguments, "--key is missing").await
}

// BD3
#[tokio::test]
async fn a_full_disk_keeps_the_old_program() -> Result<()> {
    let mut scene = Scene::set().await?;
    let Some(disk) = Disk::mount(256 * 1024).await? else { return Ok(()) };
    scene.room = tempfile::tempdir_in(disk.path())?;
    fs::create_dir_all(scene.program().parent().context("a directory")?)?;
    fs::write(scene.program(), OLD)?;
    disk.fill()?;
    let ended = scene.install(&machine("curl")?, &[]).await?;
    ensure!(!ended.done && ended.said.ends_with("install: nothing was installed\n"), "{}", ended.said);
    assert_eq!(fs::read_to_string(scene.program())?, OLD);
    Ok(())
}

// BD3
#[tokio::test]
async fn no_release_is_made_without_its_key_or_one_of_its_programs() -> Result<()> {
    let scene = Scene::set().await?;
    let key = scene.room.path().join("none.key");
    let error = scene.sign(VERSION, &key).await.err().context("it was signed")?.to_string();
    assert!(error.contains("there is no key for releases") && !key.exists(), "{error}");
    fs::remove_file(scene.site.files().join("radar-bridge-1.2.3-armv7"))?;
    let error = scene.sign(VERSION, &scene.key().await?).await.err().context("it was made")?.to_string();
    assert!(error.contains("has no radar-bridge-1.2.3-armv7"), "{error}");
    Ok(())
}
