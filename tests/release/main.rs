//! What is released, before anybody has it: the install script against every way in which a download can be wrong, the
//! packages, the units, the scripts and the workflows.

use std::path::{Path, PathBuf};

mod install;
mod packages;
mod scripts;
mod site;
mod tools;
mod units;
mod workflows;

/// A file of the repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).join(name)
}
