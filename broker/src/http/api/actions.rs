//! What has an agent do something, or tell something that only its engine knows: a command, and its end.

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use radar_wire::command::Command;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::call::Call;
use super::problem::Problem;
use super::route::Answered;
use super::{Api, BASE};
use crate::commanding::{News, State};

type Build = fn(&Call) -> Result<Command, Problem>;

/// The header that names the command of an answer.
const COMMAND: HeaderName = HeaderName::from_static("radar-command");

/// Has the path's agent do something.
pub(super) fn act(api: Api, call: Call, build: Build) -> Answered {
    Box::pin(async move {
        let (jti, news) = api.issue(call.order(build(&call)?)?).await?;
        if !call.flag("wait", true) {
            let location = format!("{BASE}/commands/{jti}");
            let body = Json(json!({ "command": jti }));
            return Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response());
        }
        let end = end(&api, news, &jti).await?;
        if end.reason.as_deref().is_some_and(|reason| reason.starts_with("unchanged")) {
            return Ok(named(StatusCode::NOT_MODIFIED.into_response(), &jti));
        }
        let body = json!({ "command": jti, "state": end.state, "result": end.result });
        Ok(named(Json(body).into_response(), &jti))
    })
}

/// Asks the path's agent, and answers with what it finds.
pub(super) fn ask(api: Api, call: Call, build: Build) -> Answered {
    Box::pin(async move {
        let (jti, news) = api.issue(call.order(build(&call)?)?).await?;
        let end = end(&api, news, &jti).await?;
        Ok(named(Json(end.result.unwrap_or(Value::Null)).into_response(), &jti))
    })
}

/// Waits for a command's success.
async fn end(api: &Api, mut news: mpsc::Receiver<News>, jti: &str) -> Result<News, Problem> {
    let ended = async {
        while let Some(news) = news.recv().await {
            if news.state.is_final() {
                return Some(news);
            }
        }
        None
    };
    let end = tokio::select! {
        end = ended => end,
        () = api.stop.cancelled() => None,
    };
    match end {
        Some(end) if end.state == State::Succeeded => Ok(end),
        Some(end) => Err(Problem::of_end(end.state, end.reason.as_deref(), jti)),
        None => Err(Problem::trouble("the bridge is stopping; the command goes its way").of(jti)),
    }
}

fn named(mut response: Response, jti: &str) -> Response {
    if let Ok(jti) = HeaderValue::from_str(jti) {
        response.headers_mut().insert(COMMAND, jti);
    }
    response
}
