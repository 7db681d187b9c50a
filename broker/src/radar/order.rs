//! What is asked of the bridge, as one request of its API. Pure: it is made here, and sent by the client.

use radar_wire::topic::AgentId;
use serde_json::{Map, Value};

/// What every path begins with.
const BASE: [&str; 2] = ["api", "v1"];

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Delete,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub verb: Verb,
    path: Vec<String>,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Map<String, Value>>,
}

impl Order {
    fn new<'a>(verb: Verb, path: impl IntoIterator<Item = &'a str>) -> Self {
        let path = BASE.into_iter().chain(path).map(str::to_owned).collect();
        Self { verb, path, query: Vec::new(), body: None }
    }

    /// A question below the root: `agents`, `commands`, …
    pub(super) fn get<'a>(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Verb::Get, path)
    }

    /// A question about an agent.
    pub(super) fn of_agent<'a>(agent: &'a AgentId, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Verb::Get, ["agents", agent.as_str()].into_iter().chain(path))
    }

    /// An act of an agent.
    pub(super) fn act<'a>(agent: &'a AgentId, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self { verb: Verb::Post, body: Some(Map::new()), ..Self::of_agent(agent, path) }
    }

    /// Removes something of an agent. What is said beyond the path is in the query.
    pub(super) fn delete<'a>(agent: &'a AgentId, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self { verb: Verb::Delete, ..Self::of_agent(agent, path) }
    }

    /// With a parameter.
    pub(super) fn asking(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// With a parameter, where there is a value.
    pub(super) fn maybe(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.asking(name, value),
            None => self,
        }
    }

    /// With a field of the body.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.get_or_insert_default().insert(name.to_owned(), value.into());
        self
    }

    /// With a field of the body, where there is a value.
    pub(super) fn given<T: Into<Value>>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a field of the body that is said only when it is true.
    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        if value { self.with(name, true) } else { self }
    }

    /// The parts of its path; `None` when one would be taken for something else than a name.
    pub(super) fn path(&self) -> Option<&[String]> {
        let fits = |part: &String| !part.is_empty() && part != "." && part != "..";
        self.path.iter().all(fits).then_some(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_no_name_makes_no_path() {
        let agent: AgentId = "pi".parse().unwrap();
        let path = |image| Order::delete(&agent, ["images", image]).path().map(<[String]>::to_vec);
        assert_eq!(path("a/b:1").unwrap(), ["api", "v1", "agents", "pi", "images", "a/b:1"]);
        for image in ["", ".", ".."] {
            assert_eq!(path(image), None, "{image:?}");
        }
    }

    #[test]
    fn only_what_is_said_is_in_the_body() {
        let agent: AgentId = "pi".parse().unwrap();
        let order = Order::act(&agent, ["containers", "web", "stop"]).given("timeout", Some(5)).flag("force", false);
        assert_eq!(Value::from(order.body.unwrap()).to_string(), r#"{"timeout":5}"#);
    }
}
