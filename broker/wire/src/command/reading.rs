//! How a command is read from JSON: its word, and then the fields that this word has, whatever else there is. A derived
//! reader does the same, in forty kilobytes of the agent.

use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Map, Value, from_value};

use super::Command;

impl TryFrom<Map<String, Value>> for Command {
    type Error = Error;

    fn try_from(fields: Map<String, Value>) -> Result<Self, Error> {
        let mut fields = Fields(fields);
        Ok(match &*fields.text("do")? {
            "start" => Self::Start { container: fields.text("container")? },
            "stop" => Self::Stop { container: fields.text("container")?, timeout: fields.known("timeout")? },
            "restart" => Self::Restart { container: fields.text("container")?, timeout: fields.known("timeout")? },
            "kill" => Self::Kill { container: fields.text("container")?, signal: fields.known("signal")? },
            "pause" => Self::Pause { container: fields.text("container")? },
            "unpause" => Self::Unpause { container: fields.text("container")? },
            "rename" => Self::Rename { container: fields.text("container")?, to: fields.text("to")? },
            "remove" => Self::Remove {
                container: fields.text("container")?,
                force: fields.flag("force")?,
                volumes: fields.flag("volumes")?,
            },
            "inspect" => Self::Inspect { container: fields.text("container")? },
            "top" => Self::Top { container: fields.text("container")? },
            "images" => Self::Images,
            "networks" => Self::Networks,
            "volumes" => Self::Volumes,
            "logs" => Self::Logs {
                container: fields.text("container")?,
                tail: fields.known("tail")?,
                since: fields.known("since")?,
                until: fields.known("until")?,
                timestamps: fields.flag("timestamps")?,
                follow: fields.flag("follow")?,
                limit: fields.known("limit")?,
            },
            "cancel" => Self::Cancel { jti: fields.text("jti")? },
            "stats" => Self::Stats { seconds: fields.needed("seconds")?, interval: fields.known("interval")? },
            "pull" => Self::Pull { image: fields.text("image")? },
            "remove-image" => Self::RemoveImage { image: fields.text("image")?, force: fields.flag("force")? },
            "create-network" => Self::CreateNetwork {
                network: fields.text("network")?,
                driver: fields.known("driver")?,
                internal: fields.flag("internal")?,
            },
            "remove-network" => Self::RemoveNetwork { network: fields.text("network")? },
            "create-volume" => Self::CreateVolume { volume: fields.text("volume")?, driver: fields.known("driver")? },
            "remove-volume" => Self::RemoveVolume { volume: fields.text("volume")? },
            "prune" => Self::Prune { what: fields.needed("what")?, all: fields.flag("all")? },
            "update" => Self::Update {
                container: fields.text("container")?,
                image: fields.known("image")?,
                dry_run: fields.flag("dry_run")?,
                patience: fields.known("patience")?,
            },
            "self-update" => Self::SelfUpdate {
                image: fields.known("image")?,
                program: fields.known("program")?,
                patience: fields.known("patience")?,
            },
            _ => Self::Unknown,
        })
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn needed<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Error> {
        from_value(self.0.remove(name).ok_or_else(|| Error::missing_field(name))?)
    }

    fn text(&mut self, name: &'static str) -> Result<Box<str>, Error> {
        self.needed(name)
    }

    fn known<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Error> {
        self.0.remove(name).map_or(Ok(None), from_value)
    }

    fn flag(&mut self, name: &str) -> Result<bool, Error> {
        self.0.remove(name).map_or(Ok(false), from_value)
    }
}
