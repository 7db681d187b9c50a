//! The ways back and to the end: look, plan from what there is, do that, and look again.

use ciborium::Value as Cbor;
use radar_link::time::Now;
use radar_wire::command::Progress;
use serde_json::Value;

use super::super::journal::Member;
use super::super::plan::{self, Deed, Pair, Side, Sight, Step};
use super::{Answer, Demand, Ending, Goal, LONGEST_WAIT, POLL, Running, Stage, TRIES, cut, describe, failed, map_of};
use crate::engine::act::ActError;

impl Running {
    pub(super) fn undo(&mut self, why: String) -> Demand {
        self.tell(format!("go back: {why}"), true);
        (self.why, self.round) = (why, 0);
        self.tried.clear();
        self.look(Goal::Undo)
    }

    pub(super) fn look(&mut self, goal: Goal) -> Demand {
        self.stage = Stage::Look(goal);
        let named = |(at, member): (usize, &Member)| {
            let new = member.new.map_or_else(|| self.entry.temporary(at), |id| id.to_string().into());
            [member.old.to_string().into(), self.entry.backup(at), new]
        };
        describe(self.entry.members.iter().enumerate().flat_map(named).collect())
    }

    pub(super) fn later(&mut self, goal: Goal, now: Now) -> Demand {
        self.stage = Stage::Look(goal);
        let wait = POLL.saturating_mul(1 << self.round.min(6)).min(LONGEST_WAIT);
        Demand::Wait(now.mono + wait)
    }

    pub(super) fn looked(&mut self, goal: Goal, found: &Value, now: Now) -> Demand {
        let sights = found.as_array().map(Vec::as_slice).unwrap_or_default();
        let seen: Vec<Pair> = sights
            .chunks_exact(3)
            .map(|three| Pair {
                old: Sight::read(&three[0]).or_else(|| Sight::read(&three[1])),
                new: Sight::read(&three[2]),
            })
            .collect();
        // One that was made and not heard of has a name that nobody else gives.
        for (at, pair) in seen.iter().enumerate() {
            let member = &mut self.entry.members[at];
            member.new = member.new.or(pair.new.as_ref().map(|new| new.id));
            if let Some(old) = pair.old.as_ref().filter(|old| old.id != member.old) {
                self.made(&Step { at, side: Side::Old, deed: Deed::Create }, old.id);
            }
        }
        let steps = match goal {
            Goal::Undo => plan::undo(&self.entry.members, &seen, &self.tried),
            Goal::Finish => plan::finish(&self.entry.members, &seen, &self.tried),
        };
        let last = self.round >= TRIES;
        let left = match goal {
            Goal::Undo => plan::differences(&self.entry, &seen, &self.tried),
            Goal::Finish => steps.iter().map(|step| self.text(step)).collect(),
        };
        if steps.is_empty() && left.is_empty() || last {
            return self.end(goal, &left);
        }
        if steps.is_empty() {
            self.round += 1;
            return self.later(goal, now);
        }
        self.steps = steps.into();
        self.mend(goal)
    }

    pub(super) fn mend(&mut self, goal: Goal) -> Demand {
        let Some(step) = self.steps.front().cloned() else {
            self.round += 1;
            return self.look(goal);
        };
        self.tell(self.text(&step), goal == Goal::Undo);
        self.stage = Stage::Mend(goal);
        self.act(&step)
    }

    pub(super) fn mended(&mut self, goal: Goal, result: Result<Answer, ActError>, now: Now) -> Demand {
        let Some(step) = self.steps.pop_front() else { return self.look(goal) };
        let follows = goal == Goal::Finish && step.side == Side::New;
        match self.settled(&step, result) {
            Ok(answer) => {
                if step.deed == Deed::Start {
                    self.tried.insert(step.at);
                }
                if let Some(made) = answer.made {
                    self.made(&step, made);
                    self.stage = Stage::MendNoted(goal);
                    return Demand::Note;
                }
                self.mend(goal)
            }
            // Who lives in its namespaces does not start: that is told, and the others go on.
            Err(error) if follows => {
                self.failures.insert(step.at, format!("{}: {}: {error}", self.text(&step), error.kind.as_str()));
                self.tried.insert(step.at);
                self.steps.retain(|other| (other.at, other.side) != (step.at, step.side));
                self.mend(goal)
            }
            Err(error) => {
                self.error = Some(format!("{}: {error}", self.text(&step)));
                self.steps.clear();
                self.round += 1;
                self.later(goal, now)
            }
        }
    }

    fn end(&mut self, goal: Goal, left: &[String]) -> Demand {
        let error = self.error.take().map(|error| format!(" ({error})")).unwrap_or_default();
        if goal == Goal::Undo {
            let why = match left {
                [] => format!("rolled-back: {}", self.why),
                left => format!("rollback-incomplete: {}; {}{error}", left.join("; "), self.why),
            };
            return failed(why);
        }
        let reason = (!left.is_empty()).then(|| cut(format!("left: {}{error}", left.join("; "))));
        let dependents = self.entry.members.iter().enumerate().skip(1).map(|(at, member)| {
            let error = self.failures.get(&at).map(|error| Cbor::from(error.clone()));
            let container = member.new.map(|id| Cbor::from(id.to_string()));
            map_of([("name", Some(member.name.to_string().into())), ("container", container), ("error", error)])
        });
        let dependents: Vec<Cbor> = dependents.collect();
        let new = self.entry.members.first().and_then(|member| member.new);
        let result = map_of([
            ("from", Some(self.entry.from.to_string().into())),
            ("to", Some(self.entry.to.to_string().into())),
            ("container", new.map(|id| id.to_string().into())),
            ("dependents", (!dependents.is_empty()).then(|| dependents.into())),
        ]);
        Demand::End(Ending { state: Progress::Succeeded, reason, result: Some(result) })
    }
}
