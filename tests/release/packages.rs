//! The Debian packages as `deploy/package` makes them, of programs that stand in for ours: what is in them, for whom, and
//! with what rights. Installing, removing and purging one is tried by hand, in a Debian of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use radar_tests::programs::{built, by_hand};
use tokio::process::Command;

use crate::file;

const AGENT: &[(&str, &str)] = &[
    ("/etc/radar/agent.env", "-rw-r-----"),
    ("/usr/bin/radar-agent", "-rwxr-xr-x"),
    ("/usr/lib/systemd/system/radar-agent.service", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/README.md", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/changelog.Debian.gz", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/changelog.gz", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/copyright", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/deploy/README.md", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/examples/agent.toml", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/examples/credentials.conf", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/examples/podman.conf", "-rw-r--r--"),
    ("/usr/share/doc/radar-agent/examples/self-update.conf", "-rw-r--r--"),
    ("/usr/share/lintian/overrides/radar-agent", "-rw-r--r--"),
];

const BRIDGE: &[(&str, &str)] = &[
    ("/etc/radar/bridge.env", "-rw-r-----"),
    ("/usr/bin/radar", "-rwxr-xr-x"),
    ("/usr/bin/radar-bridge", "-rwxr-xr-x"),
    ("/usr/lib/systemd/system/radar-bridge.service", "-rw-r--r--"),
    ("/usr/share/bash-completion/completions/radar", "-rw-r--r--"),
    ("/usr/share/doc/radar-bridge/README.md", "-rw-r--r--"),
    ("/usr/share/doc/radar-bridge/changelog.Debian.gz", "-rw-r--r--"),
    ("/usr/share/doc/radar-bridge/changelog.gz", "-rw-r--r--"),
    ("/usr/share/doc/radar-bridge/copyright", "-rw-r--r--"),
    ("/usr/share/doc/radar-bridge/deploy/README.md", "-rw-r--r--"),
    ("/usr/share/doc/radar-bridge/examples/bridge.toml", "-rw-r--r--"),
    ("/usr/share/fish/vendor_completions.d/radar.fish", "-rw-r--r--"),
    ("/usr/share/lintian/overrides/radar-bridge", "-rw-r--r--"),
    ("/usr/share/zsh/vendor-completions/_radar", "-rw-r--r--"),
];

async fn output(command: &mut Command) -> Result<String> {
    let output = command.output().await.with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// Every file of a package with its rights, and directories only where they are not as all are.
async fn files(package: &Path) -> Result<BTreeMap<String, String>> {
    let listed = output(Command::new("dpkg-deb").arg("--contents").arg(package)).await?;
    let mut files = BTreeMap::new();
    for line in listed.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [rights, owner, .., name] = words[..] else { continue };
        ensure!(owner == "0/0" || owner == "root/root", "{line}");
        if rights != "drwxr-xr-x" {
            files.insert(name.trim_start_matches('.').to_owned(), rights.to_owned());
        }
    }
    Ok(files)
}

// BD1
#[tokio::test]
async fn a_package_has_its_program_its_unit_and_settings_that_stay() -> Result<()> {
    let (room, built) = (tempfile::tempdir_in("/tmp")?, built().await?);
    let programs = room.path().join("programs");
    fs::create_dir(&programs)?;
    let version = env!("CARGO_PKG_VERSION");
    for arch in ["amd64", "arm64", "armhf"] {
        for name in ["radar-agent", "radar-bridge", "radar"] {
            // For lintian one that is static and without symbols, as ours are.
            let stand_in = if arch == "amd64" { "/bin/busybox" } else { "/usr/bin/ldd" };
            fs::copy(stand_in, programs.join(name))?;
        }
        let mut package = by_hand(file("deploy/package"));
        package.arg("--programs").arg(&programs).args(["--arch", arch]).arg("--out").arg(room.path());
        output(package.arg("--radar").arg(built.join("radar"))).await?;
        for (name, expected) in [("radar-agent", AGENT), ("radar-bridge", BRIDGE)] {
            let package = room.path().join(format!("{name}_{version}_{arch}.deb"));
            let expected = expected.iter().map(|(name, rights)| ((*name).to_owned(), (*rights).to_owned()));
            assert_eq!(files(&package).await?, expected.collect(), "{name}");
            let fields = ["Package", "Version", "Architecture"];
            let said = output(Command::new("dpkg-deb").arg("--field").arg(&package).args(fields)).await?;
            assert_eq!(said, format!("Package: {name}\nVersion: {version}-1\nArchitecture: {arch}\n"));
        }
    }
    for (name, settings) in [("radar-agent", "agent.env"), ("radar-bridge", "bridge.env")] {
        let package = room.path().join(format!("{name}_{version}_amd64.deb"));
        let control = room.path().join(name);
        output(Command::new("dpkg-deb").arg("--control").arg(&package).arg(&control)).await?;
        assert_eq!(fs::read_to_string(control.join("conffiles"))?, format!("/etc/radar/{settings}\n"));
        let script = |which: &str| fs::read_to_string(control.join(which)).with_context(|| format!("{name}: {which}"));
        let (postinst, prerm, postrm) = (script("postinst")?, script("prerm")?, script("postrm")?);
        // Enabled, not started before it has its settings, started again after an upgrade, stopped when it goes.
        ensure!(postinst.contains(&format!("deb-systemd-helper enable {name}.service")), "{postinst}");
        ensure!(postinst.contains(&format!("deb-systemd-invoke try-restart {name}.service")), "{postinst}");
        ensure!(!postinst.contains("deb-systemd-invoke start"), "{postinst}");
        ensure!(prerm.contains(&format!("deb-systemd-invoke stop {name}.service")), "{prerm}");
        ensure!(postrm.contains(&format!("rm -rf /var/lib/{name}")), "{postrm}");
        for which in ["postinst", "prerm", "postrm"] {
            assert_eq!(fs::metadata(control.join(which))?.permissions().mode() & 0o777, 0o755, "{which}");
        }
        let linted = Command::new("lintian").arg("--allow-root").arg("--fail-on=error").arg(&package).output().await?;
        ensure!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
    }
    Ok(())
}

// BD1
#[tokio::test]
async fn no_package_is_made_of_half_the_programs() -> Result<()> {
    let room = tempfile::tempdir_in("/tmp")?;
    for (arguments, reason) in [
        (&["--arch", "amd64"][..], "radar-agent is not there, or cannot be executed"),
        (&["--arch", "mips"], "--arch mips: it is amd64, arm64 or armhf"),
        (&["--nope"], "what is '--nope'?"),
    ] {
        let mut package = by_hand(file("deploy/package"));
        package.arg("--programs").arg(room.path()).arg("--out").arg(room.path()).args(arguments);
        let ended = package.output().await?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(!ended.status.success() && said.contains(reason), "{said}");
    }
    Ok(())
}
