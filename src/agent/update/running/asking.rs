//! What must be known before an update is planned, asked for one after the other, and the plan itself.

use ciborium::Value as Cbor;
use radar_wire::command::Progress;
use radar_wire::image::ImageName;
use serde_json::Value;

use super::super::Guard;
use super::super::blueprint::{blueprint, text};
use super::super::journal::{Member, Was};
use super::super::plan::{self, Sight};
use super::{Demand, Ending, Goal, Running, Stage, failed, map_of};
use crate::agent::commands::named;
use crate::engine::act::Act;

impl Running {
    pub(super) fn learned(&mut self, stage: Stage, found: Value, guard: &Guard<'_>) -> Demand {
        match stage {
            Stage::Old => {
                self.old = found.get(0).cloned().unwrap_or_default();
                if self.old.is_null() {
                    return failed("not-found: the container is gone".to_owned());
                }
                if self.old["State"]["Dead"] == true || text(&self.old["State"]["Status"]) == "removing" {
                    return failed("conflict: it is being removed".to_owned());
                }
                let own = text(&self.old["Config"]["Image"]);
                let image: Box<str> = self.order.image.clone().unwrap_or_else(|| own.into());
                if self.order.image.is_none() && ImageName::parse(&image).is_none() {
                    return failed("no-name: it was made from an image without a name; say which image".to_owned());
                }
                match named::image(&image) {
                    Ok(whole) => self.pull = whole,
                    Err(why) => return failed(why),
                }
                self.names.push(image);
                self.ask(Stage::Sharing, Act::Sharing { id: self.order.id })
            }
            Stage::Sharing => {
                if let Value::Array(all) = found {
                    self.sharing = all;
                }
                for other in &self.sharing {
                    if let Err(why) = guard.check(other) {
                        return failed(why);
                    }
                }
                if self.order.dry_run {
                    return self.ask(Stage::NewImage, Act::DescribeImage { image: self.names[0].clone() });
                }
                self.tell(format!("pull {}", self.pull), false);
                self.ask(Stage::Pull, Act::Pull { image: self.pull.clone() })
            }
            Stage::Pull => self.ask(Stage::NewImage, Act::DescribeImage { image: self.names[0].clone() }),
            Stage::NewImage => {
                self.new_image = found;
                let named = *self.names[0] == *text(&self.old["Config"]["Image"]);
                if named && !self.order.dry_run && self.new_image["Id"] == self.old["Image"] {
                    let reason = Some("unchanged: it is of this image already".into());
                    return Demand::End(Ending { state: Progress::Succeeded, reason, result: None });
                }
                self.ask(Stage::OldImage, Act::DescribeImage { image: text(&self.old["Image"]).into() })
            }
            Stage::OldImage => {
                self.blueprints = vec![blueprint(&self.old, Some(&found), &self.names[0])];
                self.ask_name(0)
            }
            Stage::Name(at) => {
                let other = &self.sharing[at];
                let named = if found["Id"] == other["Image"] { &other["Config"]["Image"] } else { &other["Image"] };
                self.names.push(text(named).into());
                self.blueprints.push(blueprint(other, None, text(named)));
                self.ask_name(at + 1)
            }
            _ => self.look(Goal::Undo),
        }
    }

    fn ask(&mut self, stage: Stage, act: Act) -> Demand {
        self.stage = stage;
        Demand::Act(act)
    }

    /// Those who share its namespaces are made again from the image that they have, by its name where it still means that.
    fn ask_name(&mut self, at: usize) -> Demand {
        match self.sharing.get(at) {
            Some(other) => {
                let image = text(&other["Config"]["Image"]).into();
                self.ask(Stage::Name(at), Act::DescribeImage { image })
            }
            None => self.plan(),
        }
    }

    fn plan(&mut self) -> Demand {
        let mut members = Vec::new();
        let mut again = false;
        for (at, document) in std::iter::once(&self.old).chain(&self.sharing).enumerate() {
            let Some(sight) = Sight::read(document) else {
                return failed("engine: what it says of the container is not understood".to_owned());
            };
            let was = sight.was();
            let fleeting = sight.fleeting && was != Was::Stopped;
            again |= fleeting && at == 0;
            let image = if at == 0 { &*sight.image } else { &*self.names[at] };
            members.push(Member {
                again: (again || fleeting).then(|| blueprint(document, None, image)),
                name: sight.name,
                old: sight.id,
                new: None,
                was,
                image: sight.image,
                networks: sight.networks,
            });
        }
        self.entry.from = members[0].image.clone();
        self.entry.to = text(&self.new_image["Id"]).into();
        self.entry.members = members;
        self.steps = plan::change(&self.entry.members, &self.blueprints).into();
        let rest = plan::finish_as_planned(&self.entry.members);
        if self.order.dry_run {
            let texts = self.steps.iter().chain(&rest).map(|step| Cbor::from(self.text(step)));
            let pull = Cbor::from(format!("pull {}", self.pull));
            let steps: Vec<Cbor> = std::iter::once(pull).chain(texts).collect();
            let from = Some(self.entry.from.to_string().into());
            let result = Some(map_of([("from", from), ("steps", Some(steps.into()))]));
            return Demand::End(Ending { state: Progress::Succeeded, reason: None, result });
        }
        self.of = u64::try_from(1 + self.steps.len() + rest.len()).unwrap_or(u64::MAX);
        self.stage = Stage::Noted;
        Demand::Note
    }
}
