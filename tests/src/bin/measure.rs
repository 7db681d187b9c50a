//! Prints the performance table: each figure with its goal, and its baseline from the same run.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use radar_link::logging::{self, Format};
use radar_tests::limits;
use radar_tests::measure::{self, Part, Plan, Programs};

/// Files beside the connections of the simulated agents.
const FILES: u64 = 256;

/// Measures the built programs on this host; nothing of it outlives the run.
#[derive(Debug, Parser)]
#[command(name = "measure", version)]
struct Arguments {
    /// Little of everything, in seconds: shows that it runs, and its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// One JSON object a line instead of the table.
    #[arg(long)]
    json: bool,
    /// Only these parts of the table.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Chosen>,
    /// Events per second that the simulated agents offer.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How many agents are simulated.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    agents: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Chosen {
    /// One agent: size, memory, CPU time, start, latency, bytes.
    Host,
    /// A command and its outcome
    Command,
    /// The log of a container that writes without end.
    Logs,
    /// Agents, bridge and server: the way to the server, outages.
    Relay,
    /// An agent with 64 MB and a tenth of one core.
    Small,
    /// The bridge with a fleet of simulated agents.
    Fleet,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let plan = plan(&arguments);
    limits::ensure_open_files(u64::from(plan.agents) + FILES)?;
    logging::start(Format::Text, "warn,radar_tests=info,measure=info", true)?;
    let programs = Programs::find()?;
    if cfg!(debug_assertions) && !arguments.quick {
        tracing::warn!("these are debug builds: run with --release for figures that mean something");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.context("the runtime")?.block_on(measure::measure(&plan, &programs));
    print(&arguments, &report);
    Ok(if report.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(arguments: &Arguments) -> Plan {
    let mut plan = if arguments.quick { Plan::quick() } else { Plan::full() };
    let part = |chosen: &Chosen| match chosen {
        Chosen::Host => Part::Host,
        Chosen::Command => Part::Command,
        Chosen::Logs => Part::Logs,
        Chosen::Relay => Part::Relay,
        Chosen::Small => Part::Small,
        Chosen::Fleet => Part::Fleet,
    };
    plan.parts = arguments.only.iter().map(part).collect();
    plan.rate = arguments.rate.unwrap_or(plan.rate);
    plan.agents = arguments.agents.unwrap_or(plan.agents);
    plan
}

#[expect(clippy::print_stdout, reason = "the table is what this program is run for")]
fn print(arguments: &Arguments, report: &measure::Report) {
    if arguments.json {
        print!("{}", report.to_json());
    } else {
        print!("{report}");
    }
}
