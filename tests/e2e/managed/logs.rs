//! What containers write, as it comes to who asks for it.

use anyhow::{Context, Result, ensure};
use radar_tests::engine::Spec;
use radar_tests::wait::until;
use serde_json::json;

use super::{DONE, NOT_FOUND, REFUSED, Stage};
use crate::world::DEADLINE;

/// Writes a line whenever it is sent the signal, and goes on for ever.
const ON_SIGNAL: &str = "trap 'echo später' USR1; echo früher; while :; do sleep 0.05; done";

/// Waits until a container of `pi` has ended.
async fn ended(stage: &Stage, name: &str) -> Result<()> {
    until("the end of the container", DEADLINE, async || {
        let state = stage.state(name).await?;
        if state == "exited" { Ok(()) } else { Err(anyhow::anyhow!(state)) }
    })
    .await
}

// DM5
#[tokio::test]
async fn a_log_is_shown_to_its_end_with_both_outputs_apart() -> Result<()> {
    shown_to_its_end(Stage::shared().await?).await
}

pub(super) async fn shown_to_its_end(stage: &Stage) -> Result<()> {
    // A character in two parts, which Podman mixes with what is before it when it is asked for the last lines.
    let cut = if stage.engine.kind().is_podman() { "" } else { "'; sleep 0.1; printf '" };
    let line = &format!("echo one; sleep 0.1; echo zwei >&2; sleep 0.1; printf 'dr\\303{cut}\\251i\\n'");
    let name = stage.container("wrote", Spec::shell(line)).await?;
    ended(stage, &name).await?;
    let at = format!("pi/{name}");
    for (words, out, err) in [
        (&[][..], "one\ndréi\n", "zwei\n"),
        (&["-n", "2"], "dréi\n", "zwei\n"),
        (&["-n", "0"], "", ""),
        (&["--stdout"], "one\ndréi\n", ""),
        (&["--stderr"], "", "zwei\n"),
        (&["--since", "1h"], "one\ndréi\n", "zwei\n"),
        (&["--until", "2020-01-01"], "", ""),
        // It goes on to the end of what has ended.
        (&["--follow"], "one\ndréi\n", "zwei\n"),
    ] {
        let told = stage.radar.say(&[&["logs", &at], words].concat()).await?;
        assert_eq!((told.code, &*told.out, &*told.err), (DONE, out, err), "{words:?}");
    }
    let stamped = stage.radar.done(&["logs", "-t", "-n", "1", &at]).await?;
    ensure!(stamped.ends_with("Z dréi\n") && stamped.starts_with("20"), "{stamped}");
    let pieces = stage.radar.done(&["logs", "--json", &at]).await?;
    assert_eq!(pieces.lines().next(), Some(r#"{"stream":"stdout","text":"one\n"}"#), "{pieces}");
    let none = stage.radar.say(&["logs", "pi/nowhere"]).await?;
    assert_eq!(none.code, NOT_FOUND, "{none:?}");
    let denying = stage.container("silent", Spec::default().label("radar.deny", "logs")).await?;
    let refused = stage.radar.say(&["logs", &format!("pi/{denying}")]).await?;
    assert!(refused.code == REFUSED && refused.err.contains("policy"), "{refused:?}");
    Ok(())
}

// DM5, PS4
#[tokio::test]
async fn a_terminals_output_comes_as_it_is() -> Result<()> {
    of_a_terminal(Stage::shared().await?).await
}

pub(super) async fn of_a_terminal(stage: &Stage) -> Result<()> {
    let spec = Spec::shell("printf 'gr\\303'; sleep 0.1; printf '\\274n\\n'; echo err >&2");
    let name = stage.container("tty", spec.adjust(|body| body.tty = Some(true))).await?;
    ended(stage, &name).await?;
    let told = stage.radar.say(&["logs", &format!("pi/{name}")]).await?;
    assert_eq!((told.code, &*told.out, &*told.err), (DONE, "grün\r\nerr\r\n", ""));
    Ok(())
}

// DM5, PS4
#[tokio::test]
async fn who_follows_sees_what_comes_later_and_who_leaves_ends_it_at_the_engine() -> Result<()> {
    followed(Stage::shared().await?).await
}

pub(super) async fn followed(stage: &Stage) -> Result<()> {
    let name = stage.container("followed", Spec::shell(ON_SIGNAL)).await?;
    let at = format!("pi/{name}");
    let following = stage.radar.begin(&["logs", "-f", &at]).await?;
    following.wait_out("the first line", |out| out == "früher\n").await?;
    stage.engine.kill(&name, "USR1").await?;
    following.wait_out("a later line", |out| out == "früher\nspäter\n").await?;
    let rows = stage.audit("pi", "logs", &name).await?;
    assert!(rows.len() == 1 && rows[0]["ended"].is_null(), "{rows:?}");
    following.kill9().await?;
    let row = stage.ended("pi", "logs", &name).await?;
    assert_eq!((&row["state"], &row["result"]["end"]), (&json!("succeeded"), &json!("cancelled")), "{row}");
    // The next one begins where it wants to.
    let again = stage.radar.begin(&["logs", "-f", "-n", "1", &at]).await?;
    again.wait_out("the last line", |out| out == "später\n").await?;
    stage.engine.remove(&name).await?;
    let told = again.end(DEADLINE).await?;
    assert_eq!((told.code, &*told.out), (DONE, "später\n"), "{told:?}");
    Ok(())
}

// PS5
#[tokio::test]
async fn a_download_is_whole_byte_for_byte() -> Result<()> {
    downloaded(Stage::shared().await?).await
}

pub(super) async fn downloaded(stage: &Stage) -> Result<()> {
    const LINES: usize = 1400;
    let filling = "ö".repeat(1900);
    let line = format!("f={filling}; n=0; while [ $n -lt {LINES} ]; do n=$((n+1)); echo $n $f; done");
    let name = stage.container("large", Spec::shell(&line)).await?;
    ended(stage, &name).await?;
    let expected: String = (1..=LINES).map(|number| format!("{number} {filling}\n")).collect();
    ensure!(expected.len() > 5 << 20, "{}", expected.len());
    let told = stage.radar.say(&["logs", &format!("pi/{name}")]).await?;
    assert!(told.code == DONE && told.out == expected, "{} bytes, {}", told.out.len(), told.err);
    let bytes = stage.radar.download(&format!("agents/pi/containers/{name}/logs?download=true")).await?;
    assert!(bytes == expected.as_bytes(), "{} bytes", bytes.len());
    let row = stage.ended("pi", "logs", &name).await?;
    assert_eq!(row["result"]["bytes"].as_u64().context("its size")?, expected.len() as u64, "{row}");
    Ok(())
}
