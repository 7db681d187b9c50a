//! The API's own description (OpenAPI 3.1), made of the table of which the router is made.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::BASE;
use super::problem::Problem;
use super::route::{Answer, Field, Form, Route};
use super::table::ROUTES;

#[expect(clippy::unused_async, reason = "it stands in the table of handlers, which all are")]
pub(super) async fn tell() -> Result<Response, Problem> {
    Ok(Json(document()).into_response())
}

/// The document.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| Value::Object(Map::new()));
        path[route.verb.as_str()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Radar Edge", "version": crate::VERSION },
        "servers": [{ "url": BASE }],
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "code"],
                    "properties": {
                        "type": { "type": "string" },
                        "title": { "type": "string" },
                        "status": { "type": "integer" },
                        "detail": { "type": "string" },
                        "code": { "type": "string" },
                        "command": { "type": "string" },
                    },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let parts = parts(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let query = route.query.iter().map(|field| {
        let schema = match field.name {
            "label" => json!({ "type": "array", "items": schema(field) }),
            _ => schema(field),
        };
        json!({ "name": field.name, "in": "query", "description": field.summary, "schema": schema })
    });
    let mut operation = json!({
        "summary": route.summary,
        "description": format!("Needs a key of the scope `{}`.", route.scope),
        "parameters": parts.chain(query).collect::<Vec<_>>(),
        "responses": responses(route.answer),
    });
    if !route.body.is_empty() {
        let properties: Map<String, Value> = route
            .body
            .iter()
            .map(|field| {
                let mut schema = schema(field);
                schema["description"] = field.summary.into();
                (field.name.to_owned(), schema)
            })
            .collect();
        let schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// The names in braces.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn schema(field: &Field) -> Value {
    match field.form {
        Form::Text => json!({ "type": "string" }),
        Form::Number => json!({ "type": "integer", "minimum": 0 }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Object => json!({ "type": "object" }),
    }
}

fn responses(answer: Answer) -> Value {
    let kinds: &[&str] = match answer {
        Answer::Json | Answer::Command => &["application/json"],
        Answer::Events => &["text/event-stream"],
        Answer::Both => &["application/json", "text/event-stream"],
        Answer::Log => &["text/plain", "text/event-stream"],
    };
    let content: Map<String, Value> = kinds.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect();
    let problem = json!({
        "description": "A problem",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let mut responses = json!({ "200": { "description": "As asked", "content": content }, "default": problem });
    if answer == Answer::Command {
        responses["202"] = json!({ "description": "On its way; `Location` is the command" });
        responses["304"] = json!({ "description": "It was so already" });
    }
    responses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_path_is_described_and_nothing_twice() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let described: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, ROUTES.len(), "two routes have the same path and method");
        for (path, verbs) in paths {
            for (verb, operation) in verbs.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().unwrap();
                let named = |place: &str| {
                    let there = parameters.iter().filter(|it| it["in"] == place);
                    there.map(|it| it["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
                };
                let expected: Vec<_> = path.split('{').skip(1).map(|it| it.split('}').next().unwrap()).collect();
                assert_eq!(named("path"), expected, "{verb} {path}");
                let mut query = named("query");
                query.sort();
                query.dedup();
                let described =
                    parameters.iter().filter(|it| it["description"].as_str().is_some_and(|it| it.len() > 9));
                assert_eq!(query.len(), described.count(), "{verb} {path}");
                assert!(operation["summary"].as_str().is_some_and(|it| it.len() > 8), "{verb} {path}");
            }
        }
    }
}
