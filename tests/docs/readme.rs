//! The tables of README.md against what they are tables of.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use radar_link::settings::{Setting, example_toml, markdown_table};
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Spec};
use radar_tests::server::Server;
use radar_tests::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{self, DEADLINE};

fn file(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// What stands between the comment `<!-- name -->` and the comment `<!-- end -->` after it.
fn part<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let (_, after) = text.split_once(&format!("<!-- {name} -->\n")).with_context(|| format!("no part `{name}`"))?;
    after.split_once("<!-- end -->").map(|(part, _)| part).with_context(|| format!("no end of `{name}`"))
}

fn tables() -> [(&'static str, Vec<Setting>); 2] {
    [("agent", radar_agent::settings::table()), ("bridge", radar_bridge::settings::table())]
}

// DM19
#[test]
fn the_readme_has_every_setting() -> Result<()> {
    let readme = file("README.md")?;
    for (program, table) in tables() {
        let table = markdown_table(&table);
        let written = part(&readme, &format!("settings: {program}"))?;
        assert!(written == table, "in README.md, the settings of the {program} should be:\n{table}");
    }
    Ok(())
}

// DM19
#[test]
fn the_example_files_have_every_setting() -> Result<()> {
    for (program, table) in tables() {
        let example = example_toml(&table);
        let written = file(&format!("deploy/examples/{program}.toml"))?;
        let (head, rows) = written.split_once("\n\n").context("a head and an empty line")?;
        assert!(head.lines().all(|line| line.starts_with('#')), "{head}");
        assert!(rows == example, "deploy/examples/{program}.toml should go on with:\n{example}");
    }
    Ok(())
}

/// The names under which a reader of `/metrics` finds them, by the types that are told there.
fn names(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
        .collect()
}

/// The first column of a table, without its labels.
fn rows(table: &str) -> BTreeSet<String> {
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(cell, _)| cell.split('{').next().unwrap_or_default().to_owned()).collect()
}

async fn scrape(bridge: SocketAddr) -> Result<String> {
    let mut connection = TcpStream::connect(bridge).await.context("the bridge")?;
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: bridge\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer of HTTP")?;
    Ok(body.to_owned())
}

#[tokio::test]
async fn the_readme_has_every_metric() -> Result<()> {
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options::default()).await?;
    let server = Server::start().await?;
    let (id, token) = server.create_agent("docs");
    engine.run(&engine.unique("metric"), Spec::default()).await?;
    let granted = [("AGENT_ID", id.as_str()), ("AGENT_ENROLL_TOKEN", token.as_str())];
    let (mut bridge, address) = world::bridge(&broker.url(), &server.url(), &granted).await?;
    let mut agent = world::agent(&id, &engine.host(), &broker.url())?;
    let readme = file("README.md")?;
    let written = rows(part(&readme, "metrics")?);

    let scraping = async {
        // A metric with labels is there from its first value on: a heartbeat, and a payload that does not decode.
        let view = || server.view(&id).map(|view| view.status);
        let online = async || if view().as_deref() == Some("online") { Ok(()) } else { Err(format!("{:?}", view())) };
        until("a heartbeat", DEADLINE, online).await?;
        broker.publish_raw(&format!("radar/v1/{id}/event"), "no CBOR", false).await?;
        until("all metrics", DEADLINE, async || {
            let names = names(&scrape(address).await?);
            let missing: Vec<_> = written.difference(&names).collect();
            if missing.is_empty() { Ok(names) } else { Err(anyhow::anyhow!("not in /metrics: {missing:?}")) }
        })
        .await
    };
    let scraped = tokio::select! {
        scraped = scraping => scraped?,
        ended = bridge.ended() => return ended.and(Err(anyhow::anyhow!("the bridge ended"))),
        ended = agent.ended() => return ended.and(Err(anyhow::anyhow!("the agent ended"))),
    };
    assert_eq!(scraped, written, "left: /metrics, right: README.md");
    Ok(())
}
