//! The systemd units and what belongs to them: that systemd understands them, how much they confine, and that every
//! setting in them is one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use radar_link::settings::Setting;

use crate::file;

/// The most exposure in tenths that `systemd-analyze security` may find: they have the network and the engine's or the
/// broker's socket, and nothing else.
const EXPOSURE: &str = "--threshold=15";

const UNITS: [(&str, &str); 2] = [("radar-agent", "agent.env"), ("radar-bridge", "bridge.env")];

fn read(name: &str) -> Result<String> {
    let path = file("deploy/systemd").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn tables(program: &str) -> Vec<Setting> {
    if program == "radar-agent" { radar_agent::settings::table() } else { radar_bridge::settings::table() }
}

fn is_setting(name: &str, table: &[Setting]) -> bool {
    table.iter().any(|setting| {
        setting.variable == name || (setting.secret && name.strip_suffix("_FILE") == Some(setting.variable))
    })
}

/// Every file beside the units that is put into a `.service.d`.
fn drop_ins() -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(file("deploy/systemd/examples"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        all.push((name.clone(), read(&format!("examples/{name}"))?));
    }
    ensure!(all.len() >= 3, "{all:?}");
    Ok(all)
}

/// What systemd has to say against a unit, with a program that is here in place of ours.
fn verify(directory: &Path, program: &str, unit: &str, drop_in: Option<&str>) -> Result<String> {
    let put = |text: &str| {
        let own = [format!("=/usr/bin/{program}\n"), format!("=%S/{program}/bin/{program}\n")];
        own.iter().fold(text.to_owned(), |text, own| text.replace(own, "=/bin/true\n"))
    };
    let path = directory.join(format!("{program}.service"));
    fs::write(&path, put(unit))?;
    let more = directory.join(format!("{program}.service.d"));
    fs::create_dir_all(&more)?;
    fs::write(more.join("more.conf"), drop_in.map(put).unwrap_or_default())?;
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output()?;
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let said: Vec<_> = said.lines().filter(|line| line.contains(program) || line.contains("more.conf")).collect();
    Ok(said.join("\n"))
}

// BD1
#[test]
fn systemd_understands_every_word_of_them() -> Result<()> {
    let directory = tempfile::tempdir_in("/tmp")?;
    for (program, _) in UNITS {
        let unit = read(&format!("{program}.service"))?;
        let said = verify(directory.path(), program, &unit, None)?;
        ensure!(said.is_empty(), "{said}");
        // It does say something of a word that it does not know.
        let wrong = unit.replace("\nNoNewPrivileges=", "\nNoNewPrivilegs=");
        ensure!(verify(directory.path(), program, &wrong, None)?.contains("NoNewPrivilegs"));
    }
    for (name, text) in drop_ins()? {
        let said = verify(directory.path(), "radar-agent", &read("radar-agent.service")?, Some(&text))?;
        ensure!(said.is_empty(), "{name}: {said}");
    }
    Ok(())
}

// BD1: what a shell reads, systemd does not look into.
#[test]
fn an_agent_that_replaces_itself_begins_with_a_whole_program() -> Result<()> {
    let text = read("examples/self-update.conf")?;
    let (_, rest) = text.split_once("ExecStartPre=/bin/sh -c '").context("what comes before the start")?;
    let (script, _) = rest.split_once("'\n").context("its end")?;
    let room = tempfile::tempdir_in("/tmp")?;
    let file = |name: &str| room.path().join(name);
    fs::write(file("installed"), "a program")?;
    fs::set_permissions(file("installed"), fs::Permissions::from_mode(0o755))?;
    let script = script.replace("/usr/bin/radar-agent", &file("installed").display().to_string());
    let start = |before: &str| -> Result<bool> {
        let mut start = Command::new("/bin/sh");
        start.arg("-c").arg(format!("{before}{script}")).env("STATE_DIRECTORY", room.path());
        Ok(start.status()?.success())
    };
    // A disk that is full in the middle.
    let half = r#"cp() { printf 'a pro' >"$2"; chmod 755 "$2"; false; }; "#;
    assert!(!start(half)? && !file("bin/radar-agent").exists());
    assert!(start("")?);
    assert_eq!(fs::read_to_string(file("bin/radar-agent"))?, "a program");
    assert_eq!(fs::read_dir(file("bin"))?.count(), 1);
    fs::write(file("bin/radar-agent"), "a newer one")?;
    assert!(start("")?);
    assert_eq!(fs::read_to_string(file("bin/radar-agent"))?, "a newer one");
    Ok(())
}

// BD1
#[test]
fn they_confine_what_they_start() -> Result<()> {
    for (program, _) in UNITS {
        let unit = file("deploy/systemd").join(format!("{program}.service"));
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--no-pager", EXPOSURE]).arg(&unit);
        let security = security.output()?;
        ensure!(security.status.success(), "{}", String::from_utf8_lossy(&security.stdout));
    }
    Ok(())
}

// BD1
#[test]
fn every_setting_in_them_is_one() -> Result<()> {
    for (program, settings) in UNITS {
        let (table, text) = (tables(program), read(settings)?);
        let mut named = 0;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let comment = line.strip_prefix('#').with_context(|| format!("{settings} sets something: {line}"))?;
            if let Some((name, _)) = comment.split_once('=').filter(|(name, _)| !name.contains(' ')) {
                ensure!(is_setting(name, &table), "{settings}: {name} is no setting of {program}");
                named += 1;
            }
        }
        ensure!(named > 5, "{settings}: {named} settings");
        let unit = read(&format!("{program}.service"))?;
        ensure!(unit.contains(&format!("\nEnvironmentFile=-/etc/radar/{settings}\n")), "{unit}");
        let set = |text: &str| -> Vec<String> {
            let pairs = text.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
            pairs.map(|(name, _)| name.to_owned()).collect()
        };
        ensure!(set(&unit) == ["DATA_DIR"], "{unit}");
        for (name, text) in drop_ins()? {
            for variable in set(&text) {
                ensure!(is_setting(&variable, &tables("radar-agent")), "{name}: {variable} is no setting");
            }
        }
    }
    Ok(())
}
