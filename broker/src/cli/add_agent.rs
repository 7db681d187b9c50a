//! All that a new agent needs, in one step: an account at the broker that reaches its own topics alone, and what its host
//! is to be told. What is secret goes to standard output or into files for their owner alone.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use radar_link::mqtt::BrokerUrl;
use radar_link::secret::Secret;
use radar_wire::allow;
use radar_wire::topic::AgentId;

use super::init_broker::{hash, new_password, refuse_present, write_new};
use crate::accounts::access::Access;
use crate::accounts::dynsec::Request;
use crate::accounts::handover::Handover;
use crate::accounts::plugin::Plugin;
use crate::accounts::{acl_file, id_of};
use crate::key;
use crate::settings::Settings;

/// What is typed.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The name to show for the host; its id is made from it
    name: String,
    /// The agent's id, where the name's does not do [1 to 64 of A-Z a-z 0-9 _ -]
    #[arg(long)]
    id: Option<AgentId>,
    /// What is printed
    #[arg(long, value_enum, default_value = "env")]
    format: Format,
    /// The broker as the host reaches it [default: MQTT_URL]
    #[arg(long, value_name = "URL")]
    url: Option<BrokerUrl>,
    /// The certificate of the broker's authority, which the host is handed [default: MQTT_CA_FILE]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// What may be commanded on the host: groups and actions, separated by commas [default: observe]
    #[arg(long, value_name = "WORDS")]
    allow: Option<String>,
    /// The agent's image, for run and compose
    #[arg(long, default_value = "radar-agent:latest")]
    image: String,
    /// Write files into this directory, for their owner alone, instead of printing
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// See that the agent appears at the Registry Radar server: needs SERVER_URL, SERVER_USERNAME and SERVER_PASSWORD
    #[arg(long, conflicts_with = "enroll_token_file")]
    server: bool,
    /// A file with the one-time token that the server's page showed; --id is then the id that it showed
    #[arg(long, value_name = "FILE", requires = "id")]
    enroll_token_file: Option<PathBuf>,
    /// Give an agent that is there a new password; the old one ends at once, and with it the agent's connection
    #[arg(long)]
    rotate: bool,
}

const HELP: &str = "\
Makes an account and a role in the running broker, through Mosquitto's dynamic-security plugin, with the account of
MQTT_ADMIN_USERNAME and MQTT_ADMIN_PASSWORD_FILE (see init-broker). The account is bound to the agent's client id, and
reaches the agent's own topics only. Prints, once, what the host needs:
  env             an environment file, for docker run --env-file, Compose, or EnvironmentFile= of systemd
  run             a script for the host that starts the container
  compose         a Compose file; with --output also agent.env and ca.pem beside it
  mosquitto-acl   lines for password_file and acl_file of a broker without the plugin; asks no broker
An agent that is there already is left as it is; --rotate gives it a new password.

  radar-bridge add-agent pi-kitchen --url mqtts://broker.example:8883 --ca ca.pem --format compose --output pi-kitchen";

/// The forms in which a host is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// An environment file
    Env,
    /// A script that starts a container
    Run,
    /// A Compose file
    Compose,
    /// An environment file, and lines for the broker's files
    MosquittoAcl,
}

/// Makes the account and prints what the host needs; what is to be known beside it goes to `err`.
pub(super) async fn add(
    settings: &Settings,
    arguments: &Arguments,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<()> {
    let handover = handover(settings, arguments)?;
    handover.check()?;
    if arguments.server {
        let login = settings.upstream.as_ref().is_some_and(|upstream| upstream.login.is_some());
        anyhow::ensure!(
            login,
            "--server needs the server's login: set SERVER_URL, SERVER_USERNAME and SERVER_PASSWORD, here and for the bridge; \
             or make the agent on the server's page and give its two lines as --id and --enroll-token-file"
        );
    }
    let files = files(arguments.format, &handover)?;
    if let Some(directory) = &arguments.output {
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        refuse_present(directory, &names)?;
    }
    if arguments.format != Format::MosquittoAcl {
        make(settings, &handover, arguments.rotate).await?;
        writeln!(err, "the broker {} has the account {}", settings.mqtt.mqtt_url, handover.account)?;
    }
    let id = &handover.id;
    let again = || format!("the account is made, but its password is not told: run it again with --rotate --id {id}");
    match &arguments.output {
        Some(directory) => {
            for (name, text) in &files {
                write_new(directory, name, text).with_context(again)?;
            }
            if handover.ca.is_some() && arguments.format != Format::Run {
                // The agent's user in the container is to read it, and it is no secret.
                fs::set_permissions(directory.join(CA), fs::Permissions::from_mode(0o644)).with_context(again)?;
            }
            let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
            writeln!(out, "{} has now: {}", directory.display(), names.join(", "))?;
        }
        None => {
            write!(out, "{}", printed(arguments.format, &handover, &files))
                .and_then(|()| out.flush())
                .with_context(again)?;
        }
    }
    for note in notes(settings, arguments, &handover) {
        writeln!(err, "{note}")?;
    }
    Ok(())
}

const CA: &str = "ca.pem";

fn handover(settings: &Settings, arguments: &Arguments) -> anyhow::Result<Handover> {
    let name = &arguments.name;
    let id = arguments.id.clone().or_else(|| id_of(name)).with_context(|| {
        format!("no id can be made from the name `{}`: give one with --id", crate::text::plain(name))
    })?;
    if let Some(list) = &arguments.allow {
        let mut words = allow::words(list).peekable();
        anyhow::ensure!(words.peek().is_some(), "--allow names nothing: leave it out for observe");
        words.try_for_each(|word| allow::actions(word).map(drop)).context("--allow")?;
    }
    let url = arguments.url.clone().unwrap_or_else(|| settings.mqtt.mqtt_url.clone());
    let ca = match (&arguments.ca, &settings.mqtt.mqtt_ca_file) {
        (Some(file), _) => {
            anyhow::ensure!(
                url.is_encrypted(),
                "--ca is of no use for {url}, which is not encrypted; use mqtts:// or wss://"
            );
            Some(certificates(file)?)
        }
        (None, Some(file)) if url.is_encrypted() => Some(certificates(file)?),
        (None, _) => None,
    };
    let enroll_token = match &arguments.enroll_token_file {
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            anyhow::ensure!(!text.trim().is_empty(), "{} is empty", file.display());
            Some(Secret::new(text.trim()))
        }
        None => None,
    };
    Ok(Handover {
        account: settings.prefix.client_id(&id),
        prefix: settings.prefix.clone(),
        name: name.clone(),
        password: new_password()?,
        command_key: key::take(&settings.data_dir)?.public().to_string(),
        allow: arguments.allow.clone(),
        image: arguments.image.clone(),
        url,
        ca,
        enroll_token,
        id,
    })
}

/// Certificates, and no key: a file with both is the broker's own, not one to hand out. What else stands in the file
/// stays here.
fn certificates(file: &Path) -> anyhow::Result<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    anyhow::ensure!(!text.contains("PRIVATE KEY"), "{} holds a private key, which no host may have", file.display());
    let mut found = String::new();
    for part in text.split(BEGIN).skip(1) {
        let body = part.split_once(END).map(|(body, _)| body.trim());
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=\r\n".contains(c);
        let body = body.filter(|body| !body.is_empty() && body.chars().all(is_base64));
        let body = body.with_context(|| format!("{} holds a certificate that is damaged", file.display()))?;
        found += &format!("{BEGIN}\n{}\n{END}\n", body.replace('\r', ""));
    }
    anyhow::ensure!(!found.is_empty(), "{} holds no certificate in PEM", file.display());
    Ok(found)
}

/// Makes the account and its role. Killed in the middle, it is finished by `--rotate`.
async fn make(settings: &Settings, handover: &Handover, rotate: bool) -> anyhow::Result<()> {
    let Handover { account, id, password, name, .. } = handover;
    let mut plugin = Plugin::open(settings).await?;
    let (password, access) = (password.expose(), Access::agent(&handover.prefix, id));
    // The helper of a self-update is another client, of the same host and with the same rights.
    let helper = handover.prefix.take_over_client_id(id);
    let create = |account: &str| Request::create(account, Some(account), name, password, &handover.account);
    let furnish = |account: &str| Request::furnish(account, Some(account), password, &handover.account);
    let half = || format!("the account {account} is only half made: run it again with --rotate --id {id}");
    if rotate {
        let missing = plugin.insist(&[Request::role(account), Request::account(account)]).await? == [true; 2];
        anyhow::ensure!(!missing, "there is no account {account} that could have a new password: leave --rotate out");
        let all = [
            Request::claim(account, &access),
            Request::rule(account, &access),
            create(account),
            furnish(account),
            create(&helper),
            furnish(&helper),
        ];
        plugin.insist(&all).await.with_context(half)?;
    } else {
        let there = plugin.insist(&[Request::claim(account, &access)]).await? == [true];
        anyhow::ensure!(
            !there,
            "there is an agent {id} already (account {account}), and nothing was changed: give another one --id, or this one a new password with --rotate"
        );
        let settled = plugin.insist(&[create(account), create(&helper)]).await.with_context(half)?;
        anyhow::ensure!(
            settled == [false; 2],
            "there is an account {account} already, which was not made here wholly: --rotate --id {id} completes it"
        );
    }
    plugin.close().await;
    Ok(())
}

/// The files of a form, by name.
fn files(format: Format, handover: &Handover) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut files = match format {
        Format::Env => vec![("agent.env", handover.env())],
        Format::Run => return Ok(vec![("run.sh", handover.run())]),
        Format::Compose => vec![("compose.yaml", handover.compose(true)), ("agent.env", handover.env())],
        Format::MosquittoAcl => {
            let access = Access::agent(&handover.prefix, &handover.id);
            let accounts = [handover.account.clone(), handover.prefix.take_over_client_id(&handover.id)];
            let (mut passwords, mut acl) = (String::new(), String::new());
            for account in &accounts {
                passwords += &acl_file::password_line(account, &hash(&handover.password)?)?;
                acl += &acl_file::rules(account, &access);
            }
            vec![("passwords", passwords), ("acl", acl), ("agent.env", handover.env())]
        }
    };
    files.extend(handover.ca.clone().map(|ca| (CA, ca)));
    Ok(files)
}

/// What is printed where no files are written.
fn printed(format: Format, handover: &Handover, files: &[(&'static str, String)]) -> String {
    let text = |name: &str| files.iter().find(|(file, _)| *file == name).map_or("", |(_, text)| text);
    match format {
        Format::Env => text("agent.env").to_owned(),
        Format::Run => text("run.sh").to_owned(),
        Format::Compose => handover.compose(false),
        Format::MosquittoAcl => format!(
            "# For the broker's password_file:\n{}\n# For the broker's acl_file:\n{}# For the host:\n{}",
            text("passwords"),
            text("acl"),
            text("agent.env")
        ),
    }
}

fn notes(settings: &Settings, arguments: &Arguments, handover: &Handover) -> Vec<String> {
    let mut notes = Vec::new();
    let (url, printed) = (&handover.url, arguments.output.is_none());
    if handover.ca.is_some() {
        let file = arguments.ca.as_ref().or(settings.mqtt.mqtt_ca_file.as_ref());
        let file = file.map(|file| file.display().to_string()).unwrap_or_default();
        match arguments.format {
            Format::Run => {}
            Format::Compose if printed => {
                notes.push(format!("copy {file} to the host, beside the Compose file, as ca.pem"))
            }
            Format::Compose => {}
            Format::Env | Format::MosquittoAcl => {
                notes.push(format!("copy {file} to the host, as /etc/radar-agent/ca.pem"));
            }
        }
    }
    if ["localhost", "127.0.0.1", "[::1]"].contains(&url.host()) {
        notes.push(format!("only this machine reaches {url}: for another host give --url"));
    } else if !url.is_encrypted() {
        notes.push(format!(
            "{url} is not encrypted: the password and everything else can be read on the way; use mqtts://"
        ));
    }
    if arguments.format == Format::MosquittoAcl {
        notes.push(
            "put the lines at the end of the broker's files, and have it read them: SIGHUP, or a restart".to_owned(),
        );
    }
    if arguments.server {
        notes.push("the bridge makes the agent at the server when it first hears of it".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(data: &Path, line: &[&str]) -> anyhow::Result<(String, String)> {
        use clap::{Args as _, FromArgMatches as _};
        let settings =
            Settings::load(None, |name| (name == "DATA_DIR").then(|| data.join("data").display().to_string()))?;
        let command = Arguments::augment_args(clap::Command::new("add-agent"));
        let matches = command.try_get_matches_from(["add-agent"].iter().chain(line))?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        add(&settings, &Arguments::from_arg_matches(&matches)?, &mut out, &mut err).await?;
        Ok((String::from_utf8(out)?, String::from_utf8(err)?))
    }

    // E8
    #[tokio::test]
    async fn lines_for_a_broker_without_the_plugin_need_no_broker() {
        let room = tempfile::tempdir().unwrap();
        let (out, err) = run(room.path(), &["Pi (old)", "--format", "mosquitto-acl"]).await.unwrap();
        for expected in [
            "\nradar-agent-Pi-old:$7$101$",
            "\nradar-take-over-Pi-old:$7$101$",
            "\nuser radar-agent-Pi-old\ntopic readwrite radar/v1/Pi-old/status\n",
            "\nMQTT_USERNAME=radar-agent-Pi-old\n",
            "\nAGENT_NAME=Pi (old)\n",
            "\nAGENT_COMMAND_KEY=ed25519:",
        ] {
            assert!(out.contains(expected), "{expected}\n{out}");
        }
        assert!(err.contains("only this machine reaches mqtt://localhost:1883"), "{err}");
        let password = out.split_once("MQTT_PASSWORD=").unwrap().1.lines().next().unwrap();
        assert!(!err.contains(password) && out.matches(password).count() == 1, "{out}");
    }

    // E8
    #[test]
    fn of_a_certificates_file_the_certificates_alone_are_handed_on() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("ca.pem");
        let one = "-----BEGIN CERTIFICATE-----\nAA==\nBB==\n-----END CERTIFICATE-----\n";
        fs::write(&file, format!("Subject: a\nEND\nreboot\n{}and\n{one}END\n", one.replace('\n', "\r\n"))).unwrap();
        assert_eq!(certificates(&file).unwrap(), [one, one].concat());
    }

    // E8
    #[tokio::test]
    async fn what_cannot_be_is_refused_before_anything_is_made() {
        let room = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            fs::write(room.path().join(name), text).unwrap();
            room.path().join(name).display().to_string()
        };
        let odd = file("odd.pem", "-----BEGIN CERTIFICATE-----\nAA==\nEND\nreboot #\n-----END CERTIFICATE-----\n");
        let (key, none) = (file("key.pem", "-----BEGIN PRIVATE KEY-----"), file("none.pem", "hello"));
        let full = room.path().display().to_string();
        file("agent.env", "mine");
        for (line, words) in [
            (&["厨房"][..], "no id can be made from the name"),
            (&["a\nb"], "the name `a\u{fffd}b` has characters"),
            (&["a$(reboot)"], "has characters that environment files read differently"),
            (&["pi", "--allow", "operate,all; rm"], "--allow: `all;` is no action and no group"),
            (&["pi", "--allow", "obsrve"], "--allow: `obsrve` is no action and no group"),
            (&["pi", "--allow", ","], "--allow names nothing"),
            (&["pi", "--ca", &none, "--url", "mqtts://b.example"], "holds no certificate"),
            (&["pi", "--ca", &key, "--url", "mqtts://b.example"], "holds a private key"),
            (&["pi", "--ca", &odd, "--url", "mqtts://b.example"], "holds a certificate that is damaged"),
            (&["pi", "--ca", &none], "of no use for mqtt://localhost:1883"),
            (&["pi", "--server"], "--server needs the server's login"),
            (&["pi", "--id", "a/b"], "is not an agent id"),
            (&["pi", "--enroll-token-file", &none], "--id"),
            (&["pi", "--output", &full], "has agent.env already"),
        ] {
            let line: Vec<_> = line.iter().copied().chain(["--format", "mosquitto-acl"]).collect();
            let error = format!("{:#}", run(room.path(), &line).await.unwrap_err());
            assert!(error.contains(words), "{line:?}: {error}");
        }
        assert_eq!(fs::read_to_string(room.path().join("agent.env")).unwrap(), "mine");
    }
}
