//! The performance table: what the built programs cost and how fast they are, each figure with its baseline
//! from the same run. Read `report` for the form of a figure, `plan` for the numbers, and then the
//! parts: `host` (one agent), `command`, `logs`, `relay` (agents, bridge and server), `small` (the
//! smallest boards), `fleet` (ten thousand agents).
//! It runs the programs as they are built and knows nothing of their insides.

use anyhow::Result;

mod command;
mod fleet;
mod history;
mod host;
mod logs;
mod metrics;
mod naive;
mod plan;
mod programs;
mod relay;
mod report;
mod sample;
mod small;
mod stage;
mod usage;

pub use plan::{Part, Plan};
pub use programs::Programs;
pub use report::{Figure, Goal, Report};

use stage::Stage;

/// Measures the parts that are asked for. A part that cannot be measured is reported as such.
pub async fn measure(plan: &Plan, programs: &Programs) -> Report {
    let mut report = Report::default();
    if [Part::Host, Part::Command, Part::Logs, Part::Relay].into_iter().any(|part| plan.has(part)) {
        let measured = measure_with_engine(plan, programs, &mut report).await;
        report.check("the private engine", measured);
    }
    if plan.has(Part::Small) {
        tracing::info!("64 MB and a tenth of one core");
        let measured = small::measure(plan, programs, &mut report).await;
        report.check("a small board", measured);
    }
    if plan.has(Part::Fleet) {
        tracing::info!("a fleet of {} simulated agents", plan.agents);
        let measured = fleet::measure(plan, programs, &mut report).await;
        report.check("the fleet", measured);
    }
    report
}

async fn measure_with_engine(plan: &Plan, programs: &Programs, report: &mut Report) -> Result<()> {
    tracing::info!("a private engine with {} containers, and a broker", plan.containers);
    let stage = Stage::set(plan, programs).await?;
    if plan.has(Part::Host) {
        let measured = host::measure(plan, &stage, report).await;
        report.check("the agent", measured);
    }
    if plan.has(Part::Command) {
        let measured = command::measure(plan, &stage, report).await;
        report.check("commands", measured);
    }
    if plan.has(Part::Logs) {
        let measured = logs::measure(plan, &stage, report).await;
        report.check("logs", measured);
    }
    if plan.has(Part::Relay) {
        let measured = relay::measure(plan, &stage, report).await;
        report.check("agents, bridge and server", measured);
    }
    Ok(())
}
