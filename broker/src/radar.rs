//! The program `radar`: sees and manages the containers of all hosts from anywhere, through the HTTP API of the bridge
//! and nothing else. It is here because it is released with the bridge and shares how the bridge's own command line
//! writes tables, times and sentences; it uses none of the bridge's cores, not its store, and not its settings, so that
//! it could be a package of its own.
//!
//! Reading order: `arguments` is what can be typed, `act` and `order` the requests that it becomes, `client` the way to the bridge.
//! `reading`, `acting`, `updating`, `logs` and `watching` do what was typed; `waves` decides how an update of many
//! goes, `show` how things look, `exit` and `failure` how it ends.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap_complete::generate;
use radar_link::tasks::shutdown_signal;
use radar_link::time::Clock;
use tokio_util::sync::CancellationToken;

use access::Access;
use arguments::stores::Kind;
use arguments::{Arguments, Command};
use client::Client;
use exit::Exit;
use failure::Failure;
use screen::{Screen, Terminals};

mod access;
mod act;
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
        Command::Order { jti, no_wait } => return following::show(client, &jti, no_wait, screen, stop).await,
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
            let (acts, acting) = act::of(command);
            return acting::perform(client, acts, &acting, screen, stop).await;
        }
    };
    read.unwrap_or_else(|| Err(Failure::Cut("stopped before the answer came".to_owned()))).map(|()| Exit::Done)
}

#[cfg(test)]
mod tests;
