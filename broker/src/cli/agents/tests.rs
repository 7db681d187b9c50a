use std::sync::Arc;

use radar_link::secret::Secret;
use radar_wire::codec::encode;
use radar_wire::status::{AgentFacts, EngineFacts, Presence, Reason};

use super::*;
use crate::relay::{Credential, Enrollment, Standing};
use crate::store::rows::{UpstreamRow, Write};
use crate::store::{Keep, Store};

const NOW: i64 = 1_795_228_544_000;

fn status(version: &str) -> Status {
    Status {
        state: Presence::Online,
        reason: Reason::Start,
        session: 1,
        at: NOW,
        agent: AgentFacts { version: version.into(), name: "Kitchen".into(), ..AgentFacts::default() },
        engine: Some(EngineFacts {
            kind: "docker".into(),
            version: "20.10.5".into(),
            api: None,
            answers: true,
            unavailable: Vec::new(),
        }),
        can: Vec::new(),
        allows: Vec::new(),
        warnings: vec!["this id was made on\u{1b}[2J another machine".into()],
    }
}

fn row(id: &str, status: Option<&Status>) -> AgentRow {
    AgentRow {
        agent: id.parse().unwrap(),
        heard: NOW - 3 * 60_000,
        online: true,
        reason: "start".into(),
        session: 1,
        status: status.map(|status| encode(status).unwrap().bytes.into()),
        tracking: Vec::new(),
        lost: 0,
        unknown_gaps: 0,
        missing: 0,
        containers: Some((7, 5)),
        engine: Some(true),
        complete: true,
        conflict: None,
    }
}

async fn shown(json: bool) -> String {
    let room = tempfile::tempdir().unwrap();
    let database = room.path().join("bridge.db");
    let (store, _) = Store::open(&database, Keep::default()).unwrap();
    let same = status(crate::VERSION);
    let older = Status { warnings: Vec::new(), ..status("0.0.1") };
    let unreachable = AgentRow { engine: Some(false), complete: false, missing: 4, ..row("pi-b", Some(&older)) };
    let gone = AgentRow { online: false, reason: "lost".into(), lost: 3, unknown_gaps: 1, ..row("pi-c", Some(&older)) };
    let unheard = AgentRow { heard: 0, containers: None, engine: None, complete: false, ..row("pi-d", None) };
    let enrollment = Enrollment {
        standing: Standing::Enrolled,
        secret: Some(Secret::new("hush")),
        ..Enrollment::granted("u-1".parse().unwrap(), Credential::Token(Secret::new("hush")))
    };
    let account = UpstreamRow { agent: "pi-a".parse().unwrap(), server: "http://server".into(), enrollment };
    let writes: Arc<[Write]> = [row("pi-a", Some(&same)), unreachable, gone, unheard]
        .map(|row| Write::Agent(Box::new(row)))
        .into_iter()
        .chain([Write::Upstream(Box::new(account))])
        .collect();
    store.commit(writes).await.unwrap();
    let mut out = Vec::new();
    // The bridge still runs.
    show(&database, json, NOW, &mut out).unwrap();
    drop(store);
    String::from_utf8(out).unwrap()
}

// E4, E13
#[tokio::test]
async fn stale_data_looks_stale() {
    let version = crate::VERSION;
    let expected = format!(
        "\
AGENT  NAME     STATE           LAST HEARD  CONTAINERS                 ENGINE                       VERSION               GAPS                       AT THE SERVER
pi-a   Kitchen  online          3 min ago   7 (5 running)              docker 20.10.5               {version}                 none                       enrolled as u-1
pi-b   Kitchen  online          3 min ago   7 (5 running), last known  docker 20.10.5, unreachable  0.0.1 (bridge {version})  4 asked for                -
pi-c   Kitchen  offline (lost)  3 min ago   7 (5 running), last known  docker 20.10.5               0.0.1 (bridge {version})  3 lost, 1 of unknown size  -
pi-d            unknown         never       ?                          ?                            ?                     none                       -

pi-a: this id was made on\u{fffd}[2J another machine
"
    );
    assert_eq!(shown(false).await, expected);
}

// RR13
#[tokio::test]
async fn json_is_an_object_a_line_without_secrets() {
    let text = shown(true).await;
    assert!(!text.contains("hush"));
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["containers"]["total"], 7);
    assert_eq!(lines[0]["upstream"]["id"], "u-1");
    assert_eq!(lines[1]["engine"]["answers"], false);
    assert_eq!((&lines[2]["state"], &lines[2]["reason"]), (&"offline".into(), &"lost".into()));
    assert!(lines[3].get("containers").is_none() && lines[3]["last_heard"].is_null());
}

#[test]
fn without_a_database_it_says_where_it_looked() {
    let error = show("/nowhere/bridge.db".as_ref(), false, NOW, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/bridge.db"), "{error}");
}
