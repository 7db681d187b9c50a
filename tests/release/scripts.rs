//! The shell scripts: what shellcheck says of them, that each tells how it is used, and the one that cuts release notes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Result, ensure};

use crate::file;

/// All shell scripts below a directory, or the file itself.
fn scripts(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            scripts(&entry?.path(), found)?;
        }
    } else {
        let bytes = fs::read(path)?;
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if ["#!/usr/bin/env bash", "#!/bin/bash", "#!/bin/sh"].iter().any(|shell| first == shell.as_bytes()) {
            found.push(path.to_owned());
        }
    }
    Ok(())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

// DM19
#[test]
fn shellcheck_has_nothing_to_say() -> Result<()> {
    let mut all = Vec::new();
    for part in ["deploy", "tests/run", ".ci/run"] {
        scripts(&file(part), &mut all)?;
    }
    ensure!(all.len() >= 10, "{all:?}");
    // Functions that only a trap calls, or only another function, it takes for unreachable.
    let checked = Command::new("shellcheck").arg("--exclude=SC2317").args(&all).output()?;
    ensure!(checked.status.success(), "{}", text(&checked));
    Ok(())
}

// DM19
#[test]
fn every_script_tells_how_it_is_used() -> Result<()> {
    let mut seen = 0;
    for entry in fs::read_dir(file("deploy"))? {
        let path = entry?.path();
        if path.is_file() && path.metadata()?.permissions().mode() & 0o111 != 0 {
            let help = Command::new(&path).arg("--help").output()?;
            ensure!(help.status.success() && text(&help).contains("Usage: "), "{}: {}", path.display(), text(&help));
            seen += 1;
        }
    }
    ensure!(seen >= 5, "{seen} scripts");
    Ok(())
}

fn notes(version: &str, changelog: &str) -> Result<Result<String, String>> {
    let directory = tempfile::tempdir_in("/tmp")?;
    let path = directory.path().join("CHANGELOG.md");
    fs::write(&path, changelog)?;
    let output = Command::new(file("deploy/release-notes")).arg(version).arg(&path).output()?;
    let (done, said) = (output.status.success(), text(&output));
    Ok(if done { Ok(said) } else { Err(said) })
}

// BD3
#[test]
fn release_notes_are_what_the_changelog_says_of_that_version_alone() -> Result<()> {
    let changelog = "# Changelog\n\nAbout.\n\n## Unreleased\n\n- later\n\n## [1.2.0] - 2026-11-21\n\n### Added\n\n- new\n\n\
                     ## 1.1.0\n- old\n\n## 1.0.0\n";
    assert_eq!(notes("1.2.0", changelog)?, Ok("### Added\n\n- new\n".to_owned()));
    assert_eq!(notes("v1.1.0", changelog)?, Ok("- old\n".to_owned()));
    assert_eq!(notes("Unreleased", changelog)?, Ok("- later\n".to_owned()));
    for missing in ["1.0.0", "1.2", "1.2.01", "2.0.0", ".*"] {
        let said = notes(missing, changelog)?;
        ensure!(said.as_ref().is_err_and(|said| said.contains("says nothing of")), "{missing}: {said:?}");
    }
    Ok(())
}
