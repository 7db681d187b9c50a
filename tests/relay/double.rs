//! The double has the hazards that the relay is to avoid: without them the other tests would prove nothing.

use std::time::Duration;

use futures_util::future::join_all;
use radar_tests::server::Server;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, Response};
use serde_json::{Value, json};

const HEARTBEAT: &str = "/api/agent/heartbeat";

struct Caller {
    client: Client,
    server: Server,
}

impl Caller {
    async fn new() -> Self {
        // The client asks for a provider of TLS even where it needs none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Self { client, server: Server::start().await.unwrap() }
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Response {
        self.client.post(self.server.url() + path).bearer_auth(token).json(&body).send().await.unwrap()
    }

    async fn beat(&self, token: &str, containers: Value) -> (u16, Value) {
        let response = self.post(HEARTBEAT, token, json!({ "containers": containers })).await;
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// An enrolled agent: its id, its access token, its refresh secret.
    async fn agent(&self) -> (String, String, String) {
        let (id, token) = self.server.create_agent("pi");
        let body = json!({ "agentId": id, "enrollToken": token });
        let answer: Value = self.post("/api/agent-auth/enroll", "", body).await.json().await.unwrap();
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        (id, text("accessToken"), text("refreshSecret"))
    }
}

fn one() -> Value {
    json!([{ "id": "1", "name": "web", "image": "nginx", "status": "running" }])
}

// RR5
#[tokio::test]
async fn two_heartbeats_at_once_fail_and_it_recovers() {
    let caller = Caller::new().await;
    let (_, first, _) = caller.agent().await;
    let (_, second, _) = caller.agent().await;
    caller.server.set_beat_cost(Duration::from_millis(50), Duration::ZERO);
    let both = join_all([caller.beat(&first, one()), caller.beat(&second, one())]).await;
    let failed: Vec<_> = both.iter().filter(|(status, _)| *status == 500).collect();
    assert_eq!(failed.len(), 1, "{both:?}");
    assert_eq!(failed[0].1, json!({ "error": "Failed to process heartbeat" }));
    assert_eq!(caller.server.high_water(), 2);
    assert_eq!(caller.beat(&first, one()).await.0, 200);
    assert_eq!(caller.server.wedged(), None);
}

// RR6
#[tokio::test]
async fn a_record_that_lacks_a_field_wedges_every_agent_until_a_restart() {
    for field in ["id", "name", "image", "status"] {
        let caller = Caller::new().await;
        let (bad, token, _) = caller.agent().await;
        let (_, good, secret) = caller.agent().await;
        let mut list = one();
        list[0].as_object_mut().unwrap().remove(field);
        assert_eq!(caller.beat(&token, list).await.0, 500);
        assert!(caller.server.wedged().is_some());
        assert_eq!(caller.beat(&good, json!([])).await.0, 500);
        caller.server.restart().await.unwrap();
        let body = json!({ "agentId": caller.server.agents().iter().find(|a| a.id != bad).unwrap().id, "refreshSecret": secret });
        let answer: Value = caller.post("/api/agent-auth/token", "", body).await.json().await.unwrap();
        assert_eq!(caller.beat(answer["accessToken"].as_str().unwrap(), one()).await.0, 200);
    }
}

// RR6
#[tokio::test]
async fn a_deleted_agents_token_wedges_it_unless_the_list_is_empty() {
    let caller = Caller::new().await;
    let (id, token, secret) = caller.agent().await;
    caller.server.delete_agent(&id);
    assert_eq!(caller.beat(&token, json!([])).await.0, 200);
    assert_eq!(caller.server.wedged(), None);
    let answer = caller.post("/api/agent-auth/token", "", json!({ "agentId": id, "refreshSecret": secret })).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "error": "No refresh secret on file" }));
    assert_eq!(caller.beat(&token, one()).await.0, 500);
    assert!(caller.server.wedged().is_some());
}

// RR2
#[tokio::test]
async fn a_restart_voids_tokens_and_not_secrets() {
    let caller = Caller::new().await;
    let (id, token, secret) = caller.agent().await;
    assert_eq!(caller.beat(&token, one()).await.0, 200);
    caller.server.restart().await.unwrap();
    assert_eq!(caller.beat(&token, one()).await, (401, json!({ "error": "Invalid or expired token" })));
    let body = json!({ "agentId": id, "refreshSecret": secret });
    assert_eq!(caller.post("/api/agent-auth/token", "", body).await.status(), 200);
}

// RR3
#[tokio::test]
async fn an_enrollment_voids_the_secret_before() {
    let caller = Caller::new().await;
    let (id, token) = caller.server.create_agent("pi");
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let body = json!({ "agentId": id, "enrollToken": token });
        let answer: Value = caller.post("/api/agent-auth/enroll", "", body).await.json().await.unwrap();
        secrets.push(answer["refreshSecret"].clone());
    }
    for (secret, status) in secrets.iter().zip([401, 200]) {
        let body = json!({ "agentId": id, "refreshSecret": secret });
        assert_eq!(caller.post("/api/agent-auth/token", "", body).await.status(), status);
    }
}

// RR12
#[tokio::test]
async fn a_token_that_is_no_text_kills_the_process() {
    let caller = Caller::new().await;
    let (id, _) = caller.server.create_agent("pi");
    let body = json!({ "agentId": id, "enrollToken": 7 });
    let answer = caller.client.post(caller.server.url() + "/api/agent-auth/enroll").json(&body).send().await;
    assert!(answer.is_err());
    assert!(caller.server.killed().is_some());
    assert!(caller.client.get(caller.server.url()).send().await.is_err());
    caller.server.go().await.unwrap();
    assert!(caller.client.get(caller.server.url()).send().await.is_ok());
}

// RR12
#[tokio::test]
async fn errors_are_pages_and_pages_are_no_errors() {
    let caller = Caller::new().await;
    let url = caller.server.url();
    let page = |response: &Response| response.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("text/html");
    let unknown = caller.client.get(format!("{url}/api/nothing")).send().await.unwrap();
    assert!(unknown.status() == 200 && page(&unknown));
    let unknown = caller.post("/api/nothing", "", json!({})).await;
    assert!(unknown.status() == 404 && page(&unknown));
    let request = caller.client.post(url + HEARTBEAT).header(CONTENT_TYPE, "application/json");
    let malformed = request.body("{\"containers\":").send().await.unwrap();
    assert!(malformed.status() == 400 && page(&malformed));
}

// RR9
#[tokio::test]
async fn the_limit_counts_after_decompression() {
    let caller = Caller::new().await;
    let (id, token, _) = caller.agent().await;
    for (size, status) in [(102_400, 200), (102_401, 413)] {
        let empty = json!({ "containers": one(), "pad": "" }).to_string().len();
        let body = json!({ "containers": one(), "pad": "x".repeat(size - empty) }).to_string();
        assert_eq!(body.len(), size);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, body.as_bytes()).unwrap();
        for (encoding, bytes) in [("identity", body.into_bytes()), ("gzip", gzip.finish().unwrap())] {
            let request = caller.client.post(caller.server.url() + HEARTBEAT).bearer_auth(&token);
            let request = request.header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, encoding);
            assert_eq!(request.body(bytes).send().await.unwrap().status(), status, "{encoding}");
        }
    }
    assert_eq!(caller.server.view(&id).unwrap().running.len(), 1);
}

// RR8
#[tokio::test]
async fn nobody_is_timed_out_and_an_empty_list_deletes_all() {
    let caller = Caller::new().await;
    let (id, token, _) = caller.agent().await;
    assert_eq!(caller.server.view(&id).unwrap().status, "offline");
    assert_eq!(caller.beat(&token, one()).await.0, 200);
    let view = caller.server.view(&id).unwrap();
    assert_eq!((view.status.as_str(), view.running.len()), ("online", 1));
    assert_eq!(caller.beat(&token, json!([])).await.0, 200);
    assert_eq!(caller.server.view(&id).unwrap().running.len(), 0);
    assert_eq!(caller.beat(&token, json!({})).await, (400, json!({ "error": "Containers must be an array" })));
}
