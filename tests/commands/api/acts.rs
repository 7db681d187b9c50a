//! What has an agent do something.

use anyhow::{Context, Result, ensure};
use radar_bridge::api_keys::Scope;
use radar_tests::wait::until;
use radar_wire::command::Command;
use radar_wire::topic::Channel;
use serde_json::{Value, json};

use super::{Events, Scene, soon};
use crate::{DEADLINE, publish, status};

// PS1, DM4
#[tokio::test]
async fn an_action_reaches_the_agent_for_who_asks_and_its_end_is_the_answer() -> Result<()> {
    let mut scene = Scene::set().await?;
    let request = scene.post("agents/pi/containers/web%2F1/stop").header("radar-as", "Bob");
    let request = request.json(&json!({ "timeout": 5, "valid": 90 }));
    let (answer, jti) = tokio::join!(soon("the answer", async { Ok(request.send().await?) }), async {
        let claims = scene.pi.command().await?;
        assert_eq!((&*claims.sub, claims.exp - claims.iat), ("api:Ann as Bob", 90));
        assert_eq!(claims.cmd, Command::Stop { container: "web/1".into(), timeout: Some(5) });
        scene.pi.tell(&claims.jti, "accepted").await?;
        scene.pi.tell(&claims.jti, "succeeded").await?;
        anyhow::Ok(claims.jti)
    });
    let (answer, jti) = (answer?, jti?);
    assert_eq!((answer.status().as_u16(), answer.headers()["radar-command"].to_str()?), (200, &*jti));
    assert_eq!(answer.json::<Value>().await?, json!({ "command": jti, "state": "succeeded", "result": "done" }));
    let audit = scene.json("commands?agent=pi").await?;
    let [row] = &audit["commands"].as_array().context("a list")?[..] else { panic!("{audit}") };
    assert_eq!(
        (&row["command"], &row["who"], &row["state"]),
        (&json!(jti), &json!("api:Ann as Bob"), &json!("succeeded"))
    );
    assert_eq!(row["what"], json!({ "do": "stop", "container": "web/1", "timeout": 5 }));
    Ok(())
}

// PS3
#[tokio::test]
async fn every_end_keeps_its_meaning() -> Result<()> {
    let mut scene = Scene::set().await?;
    for (words, expected, code) in [
        ("succeeded unchanged: it was so already", 304, ""),
        ("failed not-found: no such container", 404, "not-found"),
        ("refused ambiguous: several", 409, "ambiguous"),
        ("failed conflict: it is paused", 409, "conflict"),
        ("refused policy: not allowed here", 403, "policy"),
        ("refused busy: too many", 429, "busy"),
        ("refused unknown-command: this version does not know it", 501, "unknown-command"),
        ("failed timed-out: the engine", 504, "timed-out"),
        ("failed interrupted: the agent was started again", 502, "interrupted"),
    ] {
        let request = scene.post("agents/pi/containers/web/start");
        let (answer, told) = tokio::join!(soon("the answer", async { Ok(request.send().await?) }), async {
            let jti = scene.pi.command().await?.jti;
            scene.pi.tell(&jti, words).await?;
            anyhow::Ok(jti)
        });
        let (answer, jti) = (answer?, told?);
        assert_eq!(answer.status().as_u16(), expected, "{words}");
        let headers = answer.headers().clone();
        assert_eq!(headers.contains_key("retry-after"), expected == 429);
        let text = answer.text().await?;
        if expected == 304 {
            assert_eq!((headers["radar-command"].to_str()?, &*text), (&*jti, ""));
        } else {
            assert_eq!(headers["content-type"], "application/problem+json");
            let problem: Value = serde_json::from_str(&text)?;
            assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(expected)), "{problem}");
            assert_eq!((&problem["command"], &problem["type"]), (&json!(jti), &json!("about:blank")));
            assert!(words.ends_with(problem["detail"].as_str().context("a detail")?), "{problem}");
        }
    }
    // Of a question the answer is what was found, also where nothing changed.
    let request = scene.get("agents/pi/images");
    let (answer, told) = tokio::join!(soon("the answer", async { Ok(request.send().await?) }), async {
        let claims = scene.pi.command().await?;
        assert_eq!(claims.cmd, Command::Images);
        scene.pi.tell(&claims.jti, "succeeded unchanged").await
    });
    told?;
    let answer = answer?;
    assert_eq!((answer.status().as_u16(), answer.json::<Value>().await?), (200, json!("done")));
    Ok(())
}

// PS3
#[tokio::test]
async fn what_no_agent_gets_says_why() -> Result<()> {
    let mut scene = Scene::set().await?;
    let mut mute = status();
    mute.can.clear();
    publish(&scene.stage.broker, "mute", &Channel::Status, &mute, true).await?;
    let known = async || {
        let answer = scene.get("agents/mute").send().await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        Ok(())
    };
    until("the third agent", DEADLINE, known).await?;
    for (agent, expected, code) in
        [("nobody", 404, "unknown-agent"), ("mute", 409, "agent-takes-no-commands"), ("attic", 503, "agent-away")]
    {
        let answer =
            soon("the answer", async { Ok(scene.post(&format!("agents/{agent}/containers/web/stop")).send().await?) });
        let answer = answer.await?;
        assert_eq!(answer.status().as_u16(), expected, "{agent}");
        assert_eq!(answer.json::<Value>().await?["code"], code);
    }
    // Nor does who may not ask.
    let operator = scene.create("Olga", Scope::Operate)?;
    let request = scene.client.post(scene.url("agents/pi/containers/web/remove")).bearer_auth(operator);
    assert_eq!(request.send().await?.status(), 403);
    assert!(!scene.pi.is_asked(super::SHORT).await);
    Ok(())
}

// E5
#[tokio::test]
async fn one_that_is_not_waited_for_can_be_watched_by_several() -> Result<()> {
    let mut scene = Scene::set().await?;
    let answer = scene.post("agents/pi/images/pull?wait=false").json(&json!({ "image": "web:2" })).send().await?;
    assert_eq!(answer.status(), 202);
    let location = answer.headers()["location"].to_str()?.to_owned();
    let jti = answer.json::<Value>().await?["command"].as_str().context("a name")?.to_owned();
    assert_eq!(location, format!("/api/v1/commands/{jti}"));
    // It is there at once, and after a look at the store too.
    assert_eq!(scene.json(&format!("commands/{jti}")).await?["state"], "issued");
    assert_eq!(scene.pi.command().await?.cmd, Command::Pull { image: "web:2".into() });

    let outcomes = format!("commands/{jti}/outcomes");
    let mut first = Events::open(scene.get(&outcomes)).await?;
    assert_eq!(first.expect("outcome").await?["state"], "issued");
    scene.pi.tell(&jti, "accepted").await?;
    assert_eq!(first.expect("outcome").await?["state"], "accepted");
    let mut second = Events::open(scene.get(&outcomes)).await?;
    assert_eq!(second.expect("outcome").await?["state"], "accepted");
    scene.pi.tell(&jti, "progress half").await?;
    scene.pi.tell(&jti, "succeeded").await?;
    for events in [&mut first, &mut second] {
        let progress = events.expect("outcome").await?;
        assert_eq!((&progress["state"], &progress["reason"]), (&json!("progress"), &json!("half")));
        let end = events.expect("outcome").await?;
        assert_eq!(
            (&end["state"], &end["result"], &end["command"]),
            (&json!("succeeded"), &json!("done"), &json!(jti))
        );
        assert!(events.next().await?.is_none(), "the stream closes");
    }
    assert_eq!(scene.json(&format!("commands/{jti}")).await?["state"], "succeeded");
    let mut late = Events::open(scene.get(&outcomes)).await?;
    assert_eq!(late.expect("outcome").await?["state"], "succeeded");
    assert!(late.next().await?.is_none());
    assert_eq!(scene.get("commands/1-a/outcomes").send().await?.status(), 404);
    Ok(())
}

// PS2
#[tokio::test]
async fn keys_are_exchanged_while_the_bridge_runs_and_a_broken_file_changes_nothing() -> Result<()> {
    let mut scene = Scene::set().await?;
    let other = scene.create("Bob", Scope::Read)?;
    let (client, url) = (scene.client.clone(), scene.url("agents"));
    let ask = async |key: &str| anyhow::Ok(client.get(&url).bearer_auth(key).send().await?.status().as_u16());
    assert_eq!((ask(&scene.admin).await?, ask(&other).await?), (200, 200));
    let good = scene.keys.to_json();
    scene.write_keys(&good[..good.len() / 2])?;
    assert_eq!((ask(&scene.admin).await?, ask(&other).await?), (200, 200));
    let id = scene.keys.keys[1].id.clone();
    scene.keys.revoke(&id)?;
    scene.write_keys(&scene.keys.to_json())?;
    assert_eq!((ask(&scene.admin).await?, ask(&other).await?), (200, 401));
    Ok(())
}
