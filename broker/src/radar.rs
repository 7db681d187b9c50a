//! The program `radar`: sees and manages the containers of all hosts from anywhere, through the HTTP API of the bridge
//! and nothing else. It is here because it is released with the bridge and shares how the bridge's own command line
//! writes tables, times and sentences; it uses none of the bridge's cores, not its store, and not its settings, so that
//! it could be a package of its own.
//!
//! Reading order: `arguments` is what can be typed, `order` the request that it becomes, `client` the way to the bridge.
//! `reading`, `acting`, `updating`, `logs` and `watching` do what was typed; `waves` decides how an update of many
//! goes, `show` how things look, `exit` and `failure` how it ends.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap_complete::generate;
use radar_link::tasks::shutdown_signal;
use radar_link::time::Clock;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use access::Access;
use acting::Act;
use arguments::{Arguments, Command, Image, Kind, Network, Volume};
use client::Client;
use exit::Exit;
use failure::Failure;
use order::Order;
use screen::{Screen, Terminals};

mod access;
mod acting;
mod arguments;
mod bars;
mod client;
mod ending;
mod escape;
mod exit;
mod failure;
mod following;
mod logs;
mod order;
mod reading;
mod screen;
mod show;
mod sse;
mod target;
mod updating;
mod watching;
mod waves;

/// Does what the arguments say, and tells how it went by the exit code that `--help` explains.
pub fn main(arguments: impl IntoIterator<Item = OsString>, env: impl Fn(&str) -> Option<String>) -> ExitCode {
    let arguments = match arguments::parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too.
            let exit = if error.use_stderr() { Exit::Refused } else { Exit::Done };
            let _ = error.print();
            return exit.into();
        }
    };
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let terminal = Terminals {
        input: io::stdin().is_terminal(),
        out: io::stdout().is_terminal(),
        err: io::stderr().is_terminal(),
    };
    let json = arguments.json;
    let mut screen = Screen { out: &mut out, err: &mut err, terminal, json, typed };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Failure::Output).and_then(|runtime| {
        let result = runtime.block_on(async {
            let signal = shutdown_signal()?;
            let stopped = async {
                signal.await;
            };
            run(arguments, env, &mut screen, stopped).await
        });
        // Who was asked something may never answer.
        runtime.shutdown_background();
        result
    });
    let exit = match result {
        Ok(exit) => exit,
        Err(failure) if failure.is_closed() => Exit::Done,
        Err(failure) => {
            screen.complain(&failure);
            failure.exit()
        }
    };
    let _ = screen.err.flush();
    exit.into()
}

fn typed() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line)
}

/// Does it, until it is done or `stopped` ends.
async fn run(
    arguments: Arguments,
    env: impl Fn(&str) -> Option<String>,
    screen: &mut Screen<'_>,
    stopped: impl Future<Output = ()>,
) -> Result<Exit, Failure> {
    if let Command::Completions { shell } = arguments.command {
        let mut script = Vec::new();
        generate(clap_complete::Shell::from(shell), &mut arguments::program(), "radar", &mut script);
        screen.out.write_all(&script)?;
        return Ok(Exit::Done);
    }
    let access = Access::find(&arguments.access, env)?;
    if access.is_open() {
        screen.note("RADAR_URL is http: whoever reads the network reads the key");
    }
    let client = Client::new(&access)?;
    let stop = CancellationToken::new();
    let stopping = async {
        stopped.await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = perform(&client, arguments.command, screen, &stop) => result,
        () = stopping => Err(acting::left()),
    }
}

async fn perform(
    client: &Client,
    command: Command,
    screen: &mut Screen<'_>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let now = clock.now().wall;
    let read = match command {
        Command::Logs(logs) => return logs::show(client, &logs, screen, stop).await,
        Command::Stats(stats) => return watching::stats(client, &stats, screen, clock, stop).await,
        Command::Events(events) => return watching::events(client, &events, screen, stop).await,
        Command::Update(update) if !update.no_wait => return updating::update(client, &update, screen, stop).await,
        Command::Order { jti, no_wait } => return command_of(client, &jti, no_wait, screen, stop).await,
        Command::Agents => stop.run_until_cancelled(reading::agents(client, screen, now)).await,
        Command::Ps(ps) => stop.run_until_cancelled(reading::ps(client, &ps, screen, now)).await,
        Command::Inspect { target } => stop.run_until_cancelled(reading::inspect(client, &target, screen)).await,
        Command::Top { target } => stop.run_until_cancelled(reading::top(client, &target, screen)).await,
        Command::Images { agent } => {
            stop.run_until_cancelled(reading::store(client, &agent, Kind::Images, screen, now)).await
        }
        Command::Networks { agent } => {
            stop.run_until_cancelled(reading::store(client, &agent, Kind::Networks, screen, now)).await
        }
        Command::Volumes { agent } => {
            stop.run_until_cancelled(reading::store(client, &agent, Kind::Volumes, screen, now)).await
        }
        Command::Audit { agent, most } => {
            stop.run_until_cancelled(reading::audit(client, agent.as_ref(), most.get(), screen)).await
        }
        command => {
            let (acts, acting) = acts(command);
            return acting::perform(client, acts, &acting, screen, stop).await;
        }
    };
    read.unwrap_or_else(|| Err(Failure::Cut("stopped before the answer came".to_owned()))).map(|()| Exit::Done)
}

/// The acts that a command stands for.
fn acts(command: Command) -> (Vec<Act>, arguments::Acting) {
    match command {
        Command::Start(containers) => (Act::each(&containers, "start", |order| order), containers.acting),
        Command::Stop(stop) => (
            Act::each(&stop.containers, "stop", |order| order.given("timeout", stop.timeout)),
            stop.containers.acting,
        ),
        Command::Restart(stop) => (
            Act::each(&stop.containers, "restart", |order| order.given("timeout", stop.timeout)),
            stop.containers.acting,
        ),
        Command::Kill(kill) => (
            Act::each(&kill.containers, "kill", |order| order.given("signal", kill.signal.clone())),
            kill.containers.acting,
        ),
        Command::Pause(containers) => (Act::each(&containers, "pause", |order| order), containers.acting),
        Command::Unpause(containers) => (Act::each(&containers, "unpause", |order| order), containers.acting),
        Command::Rename(rename) => {
            let order = Order::act(&rename.target.agent, ["containers", &rename.target.container, "rename"]);
            (vec![Act::short(&rename.target, order.with("to", rename.to))], rename.acting)
        }
        Command::Rm(remove) => (
            Act::each(&remove.containers, "remove", |order| {
                order.flag("force", remove.force).flag("volumes", remove.volumes)
            }),
            remove.containers.acting,
        ),
        Command::Pull { agent, image, acting } => {
            let name = format!("{agent}: {}", crate::text::lines(&image));
            (vec![Act::long(name, Order::act(&agent, ["images", "pull"]).with("image", image))], acting)
        }
        Command::Prune { agent, kind, all, acting } => {
            let order = Order::act(&agent, [kind.word(), "prune"]).flag("all", all);
            (vec![Act::long(format!("{agent}: {}", kind.word()), order)], acting)
        }
        Command::Image(Image::Rm { agent, names, force, acting }) => {
            (Act::removals(&agent, "images", &names, force), acting)
        }
        Command::Network(Network::Rm { agent, names, acting }) => {
            (Act::removals(&agent, "networks", &names, false), acting)
        }
        Command::Volume(Volume::Rm { agent, names, acting }) => {
            (Act::removals(&agent, "volumes", &names, false), acting)
        }
        Command::Network(Network::Create { agent, name, driver, internal, acting }) => {
            let act = format!("{agent}: {}", crate::text::lines(&name));
            let order = Order::act(&agent, ["networks"]).with("network", name).given("driver", driver);
            (vec![Act::short(act, order.flag("internal", internal))], acting)
        }
        Command::Volume(Volume::Create { agent, name, driver, acting }) => {
            let act = format!("{agent}: {}", crate::text::lines(&name));
            let order = Order::act(&agent, ["volumes"]).with("volume", name).given("driver", driver);
            (vec![Act::short(act, order)], acting)
        }
        Command::Update(update) => {
            let act = |target| Act::long(target, updating::order(&update, target));
            let acting = arguments::Acting { no_wait: update.no_wait, valid: update.valid };
            (update.targets.iter().map(act).collect(), acting)
        }
        Command::SelfUpdate(own) => {
            let order = Order::act(&own.agent, ["self-update"]).given("image", own.image).given("patience", own.patience);
            let program = own.program.map(|url| {
                let [sha256, signature] = [own.sha256, own.signature].map(Option::unwrap_or_default);
                serde_json::json!({ "url": url, "sha256": sha256, "signature": signature })
            });
            (vec![Act::long(format!("{}: self-update", own.agent), order.given("program", program))], own.acting)
        }
        // What is no act was performed already.
        _ => (Vec::new(), arguments::Acting::default()),
    }
}

/// Shows how a command goes.
async fn command_of(
    client: &Client,
    jti: &str,
    no_wait: bool,
    screen: &mut Screen<'_>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let work = async {
        let command: Value = client.read(&Order::get(["commands", jti])).await?;
        let news: ending::News = serde_json::from_value(command.clone()).unwrap_or_default();
        if no_wait || news.ending().is_some() {
            if screen.json {
                screen.json(&command)?;
            } else {
                screen.print(&(show::history::command(&command) + "\n"))?;
                result_of(&news, screen)?;
            }
            return Ok(news.ending().map_or(Exit::Done, |ending| ending.exit()));
        }
        if !screen.json {
            screen.print(&(show::history::command(&command) + "\n"))?;
        }
        let ending = following::follow(client, jti, |news| {
            if screen.json {
                let ending::News { state, reason, result } = news;
                let line = serde_json::json!({ "command": jti, "state": state, "reason": reason, "result": result });
                return screen.json(&line);
            }
            let reason = news.reason.as_deref().map(|it| format!(": {}", crate::text::lines(it))).unwrap_or_default();
            let state = crate::text::plain(&news.state);
            let step = ending::Progress::of(news).map(|it| format!("  {}", it.text)).unwrap_or_default();
            screen.print(&format!("{state}{reason}{step}\n"))?;
            if news.ending().is_some() { result_of(news, screen) } else { Ok(()) }
        })
        .await?;
        Ok(ending.exit())
    };
    stop.run_until_cancelled(work).await.unwrap_or_else(|| Err(acting::left()))
}

fn result_of(news: &ending::News, screen: &mut Screen<'_>) -> Result<(), Failure> {
    match &news.result {
        None | Some(Value::Null) => Ok(()),
        Some(result) => screen.print(&(crate::text::pretty(result) + "\n")),
    }
}

#[cfg(test)]
mod tests;
