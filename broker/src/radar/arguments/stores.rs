//! What can be typed about images, networks and volumes.

use clap::{Subcommand, ValueEnum};
use radar_wire::topic::AgentId;

use super::Acting;

/// What can be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::radar) enum Kind {
    Containers,
    Images,
    Networks,
    Volumes,
}

impl Kind {
    /// Its part of a path.
    pub(in crate::radar) fn word(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Images => "images",
            Self::Networks => "networks",
            Self::Volumes => "volumes",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(in crate::radar) enum Image {
    /// Remove images
    Rm {
        agent: AgentId,
        #[arg(required = true, value_name = "IMAGE")]
        names: Vec<String>,
        /// Also where a stopped container uses it, or it has several names
        #[arg(long, short)]
        force: bool,
        #[command(flatten)]
        acting: Acting,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::radar) enum Network {
    /// Create a network
    Create {
        agent: AgentId,
        name: String,
        /// Its driver; the engine's own choice without it
        #[arg(long, short)]
        driver: Option<String>,
        /// Without a way to the outside
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        acting: Acting,
    },
    /// Remove networks
    Rm {
        agent: AgentId,
        #[arg(required = true, value_name = "NETWORK")]
        names: Vec<String>,
        #[command(flatten)]
        acting: Acting,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::radar) enum Volume {
    /// Create a volume
    Create {
        agent: AgentId,
        name: String,
        /// Its driver; the engine's own choice without it
        #[arg(long, short)]
        driver: Option<String>,
        #[command(flatten)]
        acting: Acting,
    },
    /// Remove volumes
    Rm {
        agent: AgentId,
        #[arg(required = true, value_name = "VOLUME")]
        names: Vec<String>,
        #[command(flatten)]
        acting: Acting,
    },
}
