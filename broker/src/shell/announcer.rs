//! The one line that shows the main job working, and what an operator wants to read beside it: who came, who
//! went, whose engine answers, each said once. Pure: it is handed views and the time, and gives lines back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use radar_wire::topic::AgentId;

use crate::fleet::{AgentView, Counts};

/// How long an agent that came may take to tell its containers before it is announced without them.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was said of whom.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    agents: BTreeMap<AgentId, Said>,
    /// Who is to be announced, and when at the latest.
    pending: BTreeMap<AgentId, Duration>,
    /// The same in the order of time; entries that are pending no more stay until their time.
    due: VecDeque<(Duration, AgentId)>,
    lines: VecDeque<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    online: bool,
    engine_answers: bool,
}

impl Said {
    fn of(view: &AgentView) -> Self {
        Self { online: view.online(), engine_answers: view.engine_answers != Some(false) }
    }
}

impl Announcer {
    /// What is known from before needs no line.
    pub(super) fn know(&mut self, view: &AgentView) {
        if view.presence.is_some() {
            self.agents.insert(view.id.clone(), Said::of(view));
        }
    }

    /// An agent's presence or list changed; `listed`: by a snapshot of its own.
    pub(super) fn handle_agent(&mut self, view: &AgentView, listed: bool, now: Duration) {
        if view.presence.is_none() {
            return;
        }
        if self.agents.get(&view.id) == Some(&Said::of(view)) {
            self.pending.remove(&view.id);
        } else if view.online() && view.engine_answers != Some(false) && !listed {
            // What it had before it went is not what it has; its list follows at once.
            if !self.pending.contains_key(&view.id) {
                self.pending.insert(view.id.clone(), now + PATIENCE);
                self.due.push_back((now + PATIENCE, view.id.clone()));
            }
        } else {
            self.say(view);
        }
    }

    /// Who is to be announced now, whatever is known of it.
    pub(super) fn next_due(&mut self, now: Duration) -> Option<AgentId> {
        while let Some((due, id)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            if self.pending.get(&id) == Some(&due) {
                self.pending.remove(&id);
                return Some(id);
            }
        }
        None
    }

    /// Says how an agent is.
    pub(super) fn say(&mut self, view: &AgentView) {
        self.pending.remove(&view.id);
        self.agents.insert(view.id.clone(), Said::of(view));
        self.lines.push_back(line(view));
    }

    /// The agent was purged.
    pub(super) fn forget(&mut self, id: &AgentId) {
        self.pending.remove(id);
        if self.agents.remove(id).is_some() {
            self.lines.push_back(format!("{id} purged"));
        }
    }

    /// The next line of the log.
    pub(super) fn next_line(&mut self) -> Option<String> {
        self.lines.pop_front()
    }

    /// When [`next_due`](Self::next_due) is worth a call, though perhaps for nothing.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.due.front().map(|(due, _)| *due)
    }
}

fn line(view: &AgentView) -> String {
    let known = view.containers.map(containers);
    match (view.online(), view.engine_answers, known) {
        (true, Some(false), Some(known)) => format!("{} online, engine unreachable, {known} last known", view.id),
        (true, Some(false), None) => format!("{} online, engine unreachable", view.id),
        (true, _, Some(known)) if view.complete => format!("{} online, {known}", view.id),
        (true, _, Some(known)) => format!("{} online, {known} last known", view.id),
        (true, _, None) => format!("{} online, containers not known yet", view.id),
        (false, _, Some(known)) => format!("{} offline ({}), {known} last known", view.id, view.reason),
        (false, _, None) => format!("{} offline ({})", view.id, view.reason),
    }
}

/// `7 containers`
pub(super) fn containers(counts: Counts) -> String {
    match counts.total {
        1 => "1 container".to_owned(),
        total => format!("{total} containers"),
    }
}

#[cfg(test)]
mod tests {
    use radar_wire::status::Presence;

    use super::*;

    fn view(id: &str, online: bool, total: Option<u32>) -> AgentView {
        AgentView {
            id: id.parse().unwrap(),
            presence: Some(if online { Presence::Online } else { Presence::Offline }),
            reason: "lost".into(),
            session: 1,
            last_heard: 0,
            sequence: None,
            engine_answers: Some(true),
            containers: total.map(|total| Counts { total, running: 0 }),
            complete: true,
            lost: 0,
            unknown_gaps: 0,
            missing: 0,
            decode_errors: 0,
            conflict: None,
        }
    }

    fn lines(announcer: &mut Announcer) -> Vec<String> {
        std::iter::from_fn(|| announcer.next_line()).collect()
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_agent_that_came_is_announced_with_the_list_that_follows() {
        let mut announcer = Announcer::default();
        announcer.handle_agent(&view("pi", true, None), false, at(0));
        assert!(lines(&mut announcer).is_empty());
        announcer.handle_agent(&view("pi", true, Some(7)), true, at(1));
        assert_eq!(lines(&mut announcer), ["pi online, 7 containers"]);
        announcer.handle_agent(&view("pi", true, Some(8)), true, at(2));
        announcer.handle_agent(&view("pi", true, Some(8)), false, at(2));
        assert!(lines(&mut announcer).is_empty());
        assert_eq!(announcer.next_due(at(60)), None);
    }

    #[test]
    fn an_agent_that_went_is_announced_at_once_and_again_when_it_is_back() {
        let mut announcer = Announcer::default();
        announcer.know(&view("pi", true, Some(1)));
        announcer.handle_agent(&view("pi", false, Some(1)), false, at(0));
        assert_eq!(lines(&mut announcer), ["pi offline (lost), 1 container last known"]);
        announcer.handle_agent(&view("pi", true, Some(1)), false, at(1));
        announcer.handle_agent(&view("pi", false, Some(1)), false, at(2));
        assert!(lines(&mut announcer).is_empty());
        announcer.handle_agent(&view("pi", true, Some(1)), false, at(3));
        assert_eq!(announcer.next_due(at(5)), None);
        assert!(announcer.next_due(at(6)).is_some());
    }

    #[test]
    fn an_agent_without_a_list_is_announced_when_patience_ends() {
        let mut announcer = Announcer::default();
        announcer.handle_agent(&view("pi", true, None), false, at(1));
        assert_eq!(announcer.next_due(at(3)), None);
        assert_eq!(announcer.poll_timeout(), Some(at(4)));
        let id = announcer.next_due(at(4)).unwrap();
        announcer.say(&view(id.as_str(), true, None));
        assert_eq!(lines(&mut announcer), ["pi online, containers not known yet"]);
    }

    // E4
    #[test]
    fn an_engine_that_does_not_answer_is_said_and_its_containers_are_the_last_known() {
        let mut announcer = Announcer::default();
        announcer.know(&view("pi", true, Some(2)));
        let lost = AgentView { engine_answers: Some(false), complete: false, ..view("pi", true, Some(2)) };
        announcer.handle_agent(&lost, false, at(0));
        assert_eq!(lines(&mut announcer), ["pi online, engine unreachable, 2 containers last known"]);
    }

    // E3
    #[test]
    fn what_was_purged_is_said_once_and_forgotten() {
        let mut announcer = Announcer::default();
        announcer.know(&view("pi", false, None));
        announcer.forget(&"pi".parse().unwrap());
        announcer.forget(&"pi".parse().unwrap());
        assert_eq!(lines(&mut announcer), ["pi purged"]);
    }
}
