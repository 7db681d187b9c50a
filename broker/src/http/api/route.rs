//! What the table of the API's paths is made of.

use std::pin::Pin;

use axum::response::Response;
use axum::routing::MethodFilter;

use super::Api;
use super::call::Call;
use super::problem::Problem;
use crate::api_keys::Scope;

/// One path and method.
pub(super) struct Route {
    pub(super) verb: Verb,
    /// Below the base, with the names of its parts in braces.
    pub(super) path: &'static str,
    pub(super) scope: Scope,
    pub(super) summary: &'static str,
    /// What may be in the query.
    pub(super) query: &'static [Field],
    /// What may be in the body, a JSON object; nothing: there is none.
    pub(super) body: &'static [Field],
    pub(super) answer: Answer,
    pub(super) handler: Handler,
}

pub(super) type Answered = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;
pub(super) type Handler = fn(Api, Call) -> Answered;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    pub(super) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// JSON.
    Json,
    /// Server-sent events.
    Events,
    /// Either, as it is asked for.
    Both,
    /// Server-sent events, or text.
    Log,
    /// The end of a command.
    Command,
}

/// Something that may be said.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) summary: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// Whole, and not below 0.
    Number,
    Flag,
    Object,
}

/// A text.
pub(super) const fn text(name: &'static str, summary: &'static str) -> Field {
    Field { name, form: Form::Text, summary }
}

/// A number.
pub(super) const fn number(name: &'static str, summary: &'static str) -> Field {
    Field { name, form: Form::Number, summary }
}

/// Yes or no.
pub(super) const fn flag(name: &'static str, summary: &'static str) -> Field {
    Field { name, form: Form::Flag, summary }
}

/// Of everything that an agent is to do.
pub(super) const WAIT: Field = flag("wait", "false: answer 202 at once, and do not wait for the end");

/// A look at something.
pub(super) const fn look(
    path: &'static str,
    summary: &'static str,
    query: &'static [Field],
    handler: Handler,
) -> Route {
    Route { verb: Verb::Get, path, scope: Scope::Read, summary, query, body: &[], answer: Answer::Json, handler }
}

/// Something that an agent is to do.
pub(super) const fn act(
    path: &'static str,
    scope: Scope,
    summary: &'static str,
    body: &'static [Field],
    handler: Handler,
) -> Route {
    Route { verb: Verb::Post, path, scope, summary, query: &[WAIT], body, answer: Answer::Command, handler }
}

/// Something that an agent is to remove.
pub(super) const fn remove(
    path: &'static str,
    summary: &'static str,
    query: &'static [Field],
    handler: Handler,
) -> Route {
    let (verb, scope, answer) = (Verb::Delete, Scope::Admin, Answer::Command);
    Route { verb, path, scope, summary, query, body: &[], answer, handler }
}
