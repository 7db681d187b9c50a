//! What of the things that can be typed is to be done by agents, as requests. Pure.

use radar_wire::topic::AgentId;
use serde_json::json;

use super::arguments::stores::{Image, Network, Volume};
use super::arguments::{Acting, Command, Containers};
use super::order::Order;
use super::target::Target;
use super::updating;
use crate::text::lines;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    /// What people call it.
    pub name: String,
    pub order: Order,
    /// It may take minutes, and tells how far it is.
    pub long: bool,
}

impl Act {
    /// Something that is done at once, or not at all.
    fn short(name: impl ToString, order: Order) -> Self {
        Self { name: name.to_string(), order, long: false }
    }

    /// Something that takes its time.
    fn long(name: impl ToString, order: Order) -> Self {
        Self { long: true, ..Self::short(name, order) }
    }

    /// The same act on each of the containers.
    fn each(containers: &Containers, action: &str, fill: impl Fn(Order) -> Order) -> Vec<Self> {
        let act = |target: &Target| {
            let order = Order::act(&target.agent, ["containers", &target.container, action]);
            Self::short(target, fill(order))
        };
        containers.targets.iter().map(act).collect()
    }

    /// The removal of each of these.
    fn removals(agent: &AgentId, kind: &str, names: &[String], force: bool) -> Vec<Self> {
        let act = |name: &String| {
            let order = Order::delete(agent, [kind, name]).maybe("force", force.then_some("true"));
            Self::short(format!("{agent}: {}", lines(name)), order)
        };
        names.iter().map(act).collect()
    }
}

/// The acts that a command stands for, and what is said beside them; none for what is no act.
pub(super) fn of(command: Command) -> (Vec<Act>, Acting) {
    match command {
        Command::Start(containers) => (Act::each(&containers, "start", |order| order), containers.acting),
        Command::Stop(stop) => {
            (Act::each(&stop.containers, "stop", |order| order.given("timeout", stop.timeout)), stop.containers.acting)
        }
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
            let name = format!("{agent}: {}", lines(&image));
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
            let act = format!("{agent}: {}", lines(&name));
            let order = Order::act(&agent, ["networks"]).with("network", name).given("driver", driver);
            (vec![Act::short(act, order.flag("internal", internal))], acting)
        }
        Command::Volume(Volume::Create { agent, name, driver, acting }) => {
            let act = format!("{agent}: {}", lines(&name));
            let order = Order::act(&agent, ["volumes"]).with("volume", name).given("driver", driver);
            (vec![Act::short(act, order)], acting)
        }
        Command::Update(update) => {
            let act = |target| Act::long(target, updating::order(&update, target));
            let acting = Acting { no_wait: update.no_wait, valid: update.valid };
            (update.targets.iter().map(act).collect(), acting)
        }
        Command::SelfUpdate(own) => {
            let order =
                Order::act(&own.agent, ["self-update"]).given("image", own.image).given("patience", own.patience);
            let program = own.program.map(|url| {
                let [sha256, signature] = [own.sha256, own.signature].map(Option::unwrap_or_default);
                json!({ "url": url, "sha256": sha256, "signature": signature })
            });
            (vec![Act::long(format!("{}: self-update", own.agent), order.given("program", program))], own.acting)
        }
        _ => (Vec::new(), Acting::default()),
    }
}
