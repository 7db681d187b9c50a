//! Takes back what `add-agent` has made, and forgets the agent. The account goes first: what is cleared afterwards
//! nobody writes anew.

use std::io::Write;

use anyhow::Context as _;
use radar_wire::topic::AgentId;

use super::purge::{self, Online};
use crate::accounts::dynsec::Request;
use crate::accounts::plugin::Plugin;
use crate::settings::Settings;

/// What is typed.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The agent's id
    agent: AgentId,
}

const HELP: &str = "\
Deletes the agent's account and role in the running broker, through Mosquitto's dynamic-security plugin, with the account of
MQTT_ADMIN_USERNAME and MQTT_ADMIN_PASSWORD_FILE: the agent's connection ends at once and it cannot come back. Then its
retained messages, its state and its history go, as with purge, for which it needs the bridge's own account (MQTT_USERNAME,
MQTT_PASSWORD_FILE) and DATA_DIR; a server that shows it is told that it is offline. Safe to repeat. For a broker without
the plugin: take the agent's lines out of password_file and acl_file, reload the broker, stop the agent, and use purge.";

/// Removes it, in whatever state it is.
pub(super) async fn remove(settings: &Settings, arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let agent = &arguments.agent;
    let (account, helper) = (settings.prefix.client_id(agent), settings.prefix.take_over_client_id(agent));
    let mut plugin = Plugin::open(settings).await.context("nothing was removed")?;
    let asked = [Request::delete_account(&account), Request::delete_account(&helper), Request::delete_role(&account)];
    let gone = plugin.insist(&asked).await.context("the account is not removed, or not wholly: run it again")?;
    plugin.close().await;
    if gone == [true; 3] {
        writeln!(
            out,
            "{agent}: the broker has no account {account}; an agent that uses another account and still runs comes back"
        )?;
    } else {
        writeln!(out, "{agent}: its account {account} and its role are removed at the broker")?;
    }
    out.flush()?;
    // Its last will is not published when its account has gone. An agent that is there after all contradicts what is said.
    purge::purge(settings, agent, Online::Lost, out)
        .await
        .context("the account is removed, the rest is not: run it again")
}
