//! What is done to a container, how it ends, and what is seen of it.

use anyhow::{Context, Result, ensure};
use radar_tests::engine::{Kind, Spec};
use radar_tests::wait::until;
use serde_json::{Value, json};

use super::{DONE, FAILED, NOT_FOUND, REFUSED, Stage};
use crate::world::DEADLINE;

// DM4, PS3, E5
#[tokio::test]
async fn what_is_asked_for_is_done_and_what_was_so_already_is_said() -> Result<()> {
    done_as_asked(Stage::shared().await?).await
}

pub(super) async fn done_as_asked(stage: &Stage) -> Result<()> {
    let name = stage.container("acted", Spec::default()).await?;
    let at = format!("pi/{name}");
    for (words, said, state) in [
        (&["start", &at][..], "unchanged", "running"),
        (&["pause", &at], "done", "paused"),
        (&["unpause", &at], "done", "running"),
        (&["kill", &at, "--signal", "WINCH"], "done", "running"),
        (&["restart", &at, "--timeout", "1"], "done", "running"),
        (&["stop", &at, "--timeout", "1"], "done", "exited"),
        (&["stop", &at], "unchanged", "exited"),
        (&["start", &at], "done", "running"),
        (&["kill", &at], "done", "exited"),
    ] {
        // Without control groups nobody can.
        if stage.engine.kind() == Kind::RootlessPodman && words[0].ends_with("pause") {
            continue;
        }
        let told = stage.radar.say(words).await?;
        assert_eq!(told.code, DONE, "{words:?}: {told:?}");
        assert!(told.out.starts_with(&format!("{at}: {said}")), "{words:?}: {told:?}");
        assert_eq!(stage.state(&name).await?, state, "{words:?}");
    }
    let other = format!("{name}-other");
    stage.radar.done(&["rename", &at, &other]).await?;
    assert_eq!(stage.state(&other).await?, "exited");
    stage.known("pi", &other).await?;
    let at = format!("pi/{other}");
    stage.radar.done(&["start", &at]).await?;
    let runs = stage.radar.say(&["rm", &at]).await?;
    assert!(runs.code == FAILED && runs.err.contains("conflict"), "{runs:?}");
    let both = stage.radar.say(&["rm", "--force", &at, "pi/nowhere"]).await?;
    assert!(both.code == NOT_FOUND && both.out.contains("done") && both.err.contains("pi/nowhere"), "{both:?}");
    assert!(stage.engine.inspect(&other).await.is_err(), "it is still there");

    let rows = stage.audit("pi", "restart", &name).await?;
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&row["who"], &row["state"]), (&json!("api:Ann"), &json!("succeeded")), "{row}");
    Ok(())
}

// PS3, E7, DM20
#[tokio::test]
async fn what_is_not_done_says_so_by_exit_code_and_status() -> Result<()> {
    not_done(Stage::shared().await?).await
}

pub(super) async fn not_done(stage: &Stage) -> Result<()> {
    let plain = stage.container("plain", Spec::default()).await?;
    let guarded = stage.container("guarded", Spec::default().label("radar.protect", "true")).await?;
    let denying = stage.container("denying", Spec::default().label("radar.deny", "pause")).await?;
    for (container, action, body, code, status, word) in [
        (&*plain, "start", json!({}), DONE, 304, ""),
        ("nowhere", "start", json!({}), NOT_FOUND, 404, "not-found"),
        (&guarded, "stop", json!({}), REFUSED, 403, "protected"),
        (&denying, "pause", json!({}), REFUSED, 403, "policy"),
        (&plain, "rename", json!({ "to": guarded }), FAILED, 409, "conflict"),
        (&plain, "unpause", json!({}), DONE, 304, ""),
    ] {
        let at = format!("pi/{container}");
        let mut words = vec![action, &at];
        words.extend(body["to"].as_str());
        let told = stage.radar.say(&words).await?;
        assert_eq!(told.code, code, "{words:?}: {told:?}");
        assert!(word.is_empty() || told.err.contains(&format!("{at}: {word}: ")), "{words:?}: {told:?}");
        let (answered, problem) =
            stage.radar.post(&format!("agents/pi/containers/{container}/{action}"), &body).await?;
        assert_eq!(answered, status, "{words:?}: {problem}");
        assert_eq!(problem["code"].as_str().unwrap_or_default(), word, "{problem}");
    }
    for name in [&plain, &guarded, &denying] {
        assert_eq!(stage.state(name).await?, "running", "{name}");
    }
    let none = stage.radar.say(&["start", "attic/web"]).await?;
    assert!(none.code == NOT_FOUND && none.err.contains("unknown-agent"), "{none:?}");
    Ok(())
}

// DM4, DM6
#[tokio::test]
async fn containers_are_listed_as_they_are() -> Result<()> {
    listed(Stage::shared().await?).await
}

pub(super) async fn listed(stage: &Stage) -> Result<()> {
    let labelled = Spec::default().label("radar.test", "listed");
    let (up, down) = (stage.container("listed", labelled.clone()).await?, stage.container("listed", labelled).await?);
    stage.radar.done(&["stop", &format!("pi/{down}")]).await?;
    let names = async |words: &[&str]| {
        let listed = stage.radar.json(&[&["ps", "--label", "radar.test=listed"], words].concat()).await?;
        let all = listed["containers"].as_array().context("a list")?;
        anyhow::Ok(all.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    until("one that has stopped", DEADLINE, async || {
        let listed = (names(&[]).await?, names(&["--state", "exited", "--all"]).await?);
        if listed == (vec![up.clone()], vec![down.clone()]) { Ok(()) } else { Err(anyhow::anyhow!("{listed:?}")) }
    })
    .await?;
    assert_eq!(names(&["pi", "--all"]).await?.len(), 2);
    let table = stage.radar.done(&["ps", "pi", "--all", "--label", "radar.test"]).await?;
    let line = table.lines().find(|line| line.contains(&down)).context("a line for it")?;
    assert!(line.starts_with("pi ") && line.contains("exited"), "{table}");
    Ok(())
}

// DM5
#[tokio::test]
async fn a_container_is_looked_at_without_its_secrets() -> Result<()> {
    looked_at(Stage::shared().await?).await
}

pub(super) async fn looked_at(stage: &Stage) -> Result<()> {
    let spec = Spec::default().adjust(|body| body.env = Some(vec!["PASSWORD=hush-hush".to_owned()]));
    let name = stage.container("looked-at", spec).await?;
    let at = format!("pi/{name}");
    let told = stage.radar.json(&["inspect", &at]).await?;
    assert_eq!(told["Id"].as_str(), stage.engine.inspect(&name).await?.id.as_deref());
    let variables = told["Config"]["Env"].as_array().context("its environment")?;
    assert!(variables.contains(&json!("PASSWORD")), "{variables:?}");
    assert!(!told.to_string().contains("hush-hush"), "{told}");
    let top = stage.radar.done(&["top", &at]).await?;
    ensure!(
        top.starts_with(if stage.engine.kind().is_podman() { "USER" } else { "UID" })
            && top.contains("sleep 1000000000"),
        "{top}"
    );
    let processes = stage.radar.json(&["top", &at]).await?;
    assert_eq!(processes["processes"].as_array().map(Vec::len), Some(1), "{processes}");
    stage.radar.done(&["stop", &at]).await?;
    for words in [["top", &at], ["inspect", "pi/nowhere"]] {
        let told = stage.radar.say(&words).await?;
        let expected = if words[0] == "top" { FAILED } else { NOT_FOUND };
        assert!(told.code == expected && told.out.is_empty(), "{told:?}");
    }
    assert_eq!(stage.radar.json(&["inspect", &at]).await?["State"]["Running"], Value::Bool(false));
    Ok(())
}
