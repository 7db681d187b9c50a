//! What the API wants of the shell.

use radar_wire::topic::AgentId;
use tokio::sync::{mpsc, oneshot};

use super::{Agent, Host};
use crate::asking::{Asked, AskedStream};
use crate::commanding::News;
use crate::store::rows::CommandRow;

/// A question, with where its answer goes. Of many agents some are told at a time, so that the loop goes on between.
#[derive(Debug)]
pub(crate) enum Question {
    /// Some agents, by name, after one; none when there are no more.
    Agents(Option<AgentId>, oneshot::Sender<Vec<Agent>>),
    /// One agent.
    Agent(AgentId, oneshot::Sender<Option<Agent>>),
    /// Some agents with their containers, by name, from one on.
    Hosts(Option<AgentId>, oneshot::Sender<Vec<Host>>),
    /// One agent with its containers.
    Host(AgentId, oneshot::Sender<Option<Host>>),
    /// A command.
    Command(Asked),
    /// A stream.
    Follow(AskedStream),
    /// A command as it is, if it is under way or not stored yet.
    Row(Box<str>, oneshot::Sender<Option<CommandRow>>),
    /// The commands that the store may not have as they are yet.
    Unstored(oneshot::Sender<Vec<CommandRow>>),
    /// One as it is if it is under way or not stored yet, and how it goes from now on.
    Watch(Box<str>, mpsc::Sender<News>, oneshot::Sender<Option<CommandRow>>),
}
