//! The first accounts of a broker: the one that makes the others, and the bridge's. Written to files that a new broker
//! starts with, or made in a broker whose plugin runs.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use radar_link::secret::Secret;

use crate::accounts::access::Access;
use crate::accounts::dynsec::{self, Answer, Request};
use crate::accounts::hash::Hashed;
use crate::accounts::plugin::{Plugin, PluginError};
use crate::accounts::{ADMIN, acl_file, bridge, password};
use crate::settings::Settings;

const ADMIN_PASSWORD: &str = "admin.password";
const BRIDGE_PASSWORD: &str = "bridge.password";
const DOCUMENT: &str = "dynamic-security.json";
const PASSWORDS: &str = "passwords";
const ACL: &str = "acl";

/// What is typed.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Where the files are written; what is there already is never written over
    directory: PathBuf,
    /// How the broker keeps its accounts
    #[arg(long, value_enum, default_value = "dynamic-security")]
    format: Format,
    /// Make the bridge's account in a broker whose dynamic-security plugin runs already, with the account of
    /// MQTT_ADMIN_USERNAME
    #[arg(long, conflicts_with = "format")]
    running: bool,
}

const HELP: &str = "\
Once, before the broker's first start. Writes to DIRECTORY, each file with mode 0600:
  dynamic-security.json   accounts and roles for Mosquitto's dynamic-security plugin
  admin.password          of radar-admin, with which add-agent and remove-agent make and remove accounts
  bridge.password         of the bridge's account, which may do what the bridge does and no more
With --format mosquitto-acl: passwords and acl, for password_file and acl_file of a Mosquitto without the plugin.";

/// How a broker keeps its accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Mosquitto's dynamic-security plugin
    DynamicSecurity,
    /// A password file and an ACL file
    MosquittoAcl,
}

/// Makes the accounts and says what is next.
pub(super) async fn init(settings: &Settings, arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let Arguments { directory, format, running } = arguments;
    let (name, access) = (bridge(&settings.prefix), Access::bridge(&settings.prefix));
    let files: &[&str] = match (running, format) {
        (true, _) => &[BRIDGE_PASSWORD],
        (false, Format::DynamicSecurity) => &[DOCUMENT, ADMIN_PASSWORD, BRIDGE_PASSWORD],
        (false, Format::MosquittoAcl) => &[PASSWORDS, ACL, BRIDGE_PASSWORD],
    };
    refuse_present(directory, files)?;
    let own = new_password()?;
    if *running {
        return make_in_running(settings, directory, &name, &access, &own, out).await;
    }
    match format {
        Format::DynamicSecurity => {
            let admin = new_password()?;
            let (hashed, admin_hashed) = (hash(&own)?, hash(&admin)?);
            let document = dynsec::document(&[
                dynsec::Account {
                    name: ADMIN,
                    text: "Makes accounts",
                    password: &admin_hashed,
                    rules: dynsec::admin_rules(),
                },
                dynsec::Account { name: &name, text: "The bridge", password: &hashed, rules: dynsec::rules(&access) },
            ]);
            write_new(directory, ADMIN_PASSWORD, &format!("{}\n", admin.expose()))?;
            write_new(directory, BRIDGE_PASSWORD, &format!("{}\n", own.expose()))?;
            write_new(directory, DOCUMENT, &format!("{document:#}\n"))?;
        }
        Format::MosquittoAcl => {
            let line = acl_file::password_line(&name, &hash(&own)?)?;
            write_new(directory, BRIDGE_PASSWORD, &format!("{}\n", own.expose()))?;
            write_new(directory, PASSWORDS, &line)?;
            write_new(directory, ACL, &acl_file::rules(&name, &access))?;
        }
    }
    let place = directory.display();
    writeln!(out, "{place} has now: {}", files.join(", "))?;
    let broker = match format {
        Format::DynamicSecurity => format!(
            "give the broker {place}/{DOCUMENT}: put it where plugin_opt_config_file of mosquitto.conf says, in a \
             directory that the broker's user owns and nobody else reads (the plugin writes the file anew at each change)"
        ),
        Format::MosquittoAcl => format!(
            "give the broker {place}/{PASSWORDS} (password_file) and {place}/{ACL} (acl_file), readable for its user alone"
        ),
    };
    writeln!(out, "1. Before its first start, {broker}.")?;
    writeln!(out, "2. Run the bridge with MQTT_USERNAME={name} MQTT_PASSWORD_FILE={place}/{BRIDGE_PASSWORD}")?;
    match format {
        Format::DynamicSecurity => writeln!(
            out,
            "3. For each host: MQTT_ADMIN_USERNAME={ADMIN} MQTT_ADMIN_PASSWORD_FILE={place}/{ADMIN_PASSWORD} radar-bridge add-agent NAME"
        )?,
        Format::MosquittoAcl => {
            writeln!(out, "3. For each host: radar-bridge add-agent NAME --format mosquitto-acl")?;
        }
    }
    Ok(())
}

async fn make_in_running(
    settings: &Settings,
    directory: &Path,
    name: &str,
    access: &Access,
    own: &Secret,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut plugin = Plugin::open(settings).await?;
    let answers = plugin.ask(&[Request::defaults()]).await?;
    let missing = plugin.insist(&[Request::account(name)]).await? == [true];
    anyhow::ensure!(
        missing,
        "the broker has an account {name} already; it is left as it is. To make it anew, delete it first: mosquitto_ctrl … dynsec deleteClient {name}"
    );
    // The password is on the disk before it counts.
    write_new(directory, BRIDGE_PASSWORD, &format!("{}\n", own.expose()))?;
    let make = [
        Request::claim(name, access),
        Request::rule(name, access),
        Request::create(name, None, "The bridge", own.expose(), name),
    ];
    let made = async {
        let settled = plugin.insist(&make).await?;
        anyhow::ensure!(settled.last() == Some(&false), "somebody else has just made the account {name}");
        Ok(())
    };
    if let Err(error) = made.await {
        let file = directory.join(BRIDGE_PASSWORD);
        // Without an answer the account may be there, with this password.
        if !matches!(error.downcast_ref(), Some(PluginError::Refused { .. }) | None) {
            let place = file.display();
            return Err(error.context(format!("the account {name} may be made or not; its password is in {place}")));
        }
        // A password of nothing; what counts is why.
        let _ = fs::remove_file(file);
        return Err(error);
    }
    plugin.close().await;
    let place = directory.display();
    writeln!(out, "The broker has the account {name} now, with a role of the same name.")?;
    if let [Answer::Done(data)] = &*answers {
        for kind in ["publishClientSend", "subscribe"] {
            let open = |rule: &serde_json::Value| rule["acltype"] == kind && rule["allow"] == true;
            if data["acls"].as_array().is_some_and(|rules| rules.iter().any(open)) {
                writeln!(
                    out,
                    "This broker allows everybody what no role denies ({kind}): agents can reach each other's topics. Close it: mosquitto_ctrl … dynsec setDefaultACLAccess {kind} deny"
                )?;
            }
        }
    }
    writeln!(out, "Run the bridge with MQTT_USERNAME={name} MQTT_PASSWORD_FILE={place}/{BRIDGE_PASSWORD}")?;
    Ok(())
}

/// A random password.
pub(super) fn new_password() -> anyhow::Result<Secret> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(password(bytes))
}

/// A password with a random salt.
pub(super) fn hash(password: &Secret) -> anyhow::Result<Hashed> {
    let mut salt = [0; crate::accounts::hash::SALT];
    getrandom::fill(&mut salt).context("the system gives no random bytes")?;
    Ok(Hashed::new(password, salt))
}

/// Nothing is made when anything of it is there.
pub(super) fn refuse_present(directory: &Path, files: &[&str]) -> anyhow::Result<()> {
    let present: Vec<_> =
        files.iter().filter(|file| directory.join(file).symlink_metadata().is_ok()).copied().collect();
    anyhow::ensure!(
        present.is_empty(),
        "{} has {} already, which is not written over: move it away, or name another directory",
        directory.display(),
        present.join(", ")
    );
    Ok(())
}

/// Writes a file that must not be there, for its owner alone; makes its directory, for its owner alone.
pub(super) fn write_new(directory: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    let write = || {
        if !directory.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        // The umask may have taken from it.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(directory: &Path, format: Format, prefix: &str) -> anyhow::Result<String> {
        let settings = Settings::load(None, |name| (name == "MQTT_TOPIC_PREFIX").then(|| prefix.to_owned()))?;
        let arguments = Arguments { directory: directory.to_owned(), format, running: false };
        let mut out = Vec::new();
        tokio::runtime::Builder::new_current_thread().build()?.block_on(init(&settings, &arguments, &mut out))?;
        Ok(String::from_utf8(out)?)
    }

    // E8
    #[test]
    fn what_is_made_is_for_its_owner_alone_and_never_written_over() {
        let room = tempfile::tempdir().unwrap();
        let directory = room.path().join("new/broker");
        let said = run(&directory, Format::DynamicSecurity, "radar").unwrap();
        assert!(said.contains("MQTT_USERNAME=radar-bridge MQTT_PASSWORD_FILE="), "{said}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        let mut texts = Vec::new();
        for name in [DOCUMENT, ADMIN_PASSWORD, BRIDGE_PASSWORD] {
            assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
            texts.push(fs::read_to_string(directory.join(name)).unwrap());
        }
        let passwords: Vec<_> = texts[1..].iter().map(|text| text.trim_end().to_owned()).collect();
        assert!(passwords[0] != passwords[1] && passwords.iter().all(|it| it.len() == 48 && !texts[0].contains(it)));
        assert!(passwords.iter().all(|password| !said.contains(password)), "{said}");
        fs::remove_file(directory.join(DOCUMENT)).unwrap();
        let error = run(&directory, Format::DynamicSecurity, "radar").unwrap_err().to_string();
        assert!(error.contains("has admin.password, bridge.password already"), "{error}");
        assert!(!directory.join(DOCUMENT).exists());
    }

    // E8
    #[test]
    fn a_broker_without_the_plugin_gets_lines() {
        let room = tempfile::tempdir().unwrap();
        run(room.path(), Format::MosquittoAcl, "radar/site7").unwrap();
        let acl = fs::read_to_string(room.path().join(ACL)).unwrap();
        assert!(
            acl.starts_with("user radar-bridge@radar/site7\n")
                && acl.contains("topic write radar/site7/v1/+/command\n")
        );
        assert!(
            fs::read_to_string(room.path().join(PASSWORDS)).unwrap().starts_with("radar-bridge@radar/site7:$7$101$")
        );
        let other = room.path().join("other");
        let error = run(&other, Format::MosquittoAcl, "radar:site7").unwrap_err().to_string();
        assert!(error.contains("ends at the first colon") && !other.exists(), "{error}");
    }
}
