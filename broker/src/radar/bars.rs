//! How far things are: bars where somebody looks at a terminal, lines elsewhere, and nothing beside JSON, which tells it
//! itself. On standard error, so that the output is what was asked for.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::ending::Progress;
use super::screen::Screen;

/// The bars of several things that go on beside each other, by name.
pub(super) enum Bars {
    Drawn { all: MultiProgress, each: BTreeMap<String, ProgressBar> },
    Lines { last: BTreeMap<String, String> },
    Nothing,
}

impl Bars {
    /// What fits the screen.
    pub(super) fn on(screen: &Screen<'_>) -> Self {
        match (screen.json, screen.terminal.err) {
            (true, _) => Self::Nothing,
            (false, true) => {
                let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
                Self::Drawn { all, each: BTreeMap::new() }
            }
            (false, false) => Self::Lines { last: BTreeMap::new() },
        }
    }

    /// Something is so far.
    pub(super) fn step(&mut self, name: &str, progress: &Progress, screen: &mut Screen<'_>) {
        match self {
            Self::Drawn { all, each } => {
                let bar = each.entry(name.to_owned()).or_insert_with(|| all.add(bar(name)));
                bar.set_length(progress.length);
                bar.set_position(progress.position);
                bar.set_message(progress.text.clone());
            }
            Self::Lines { last } => {
                if last.insert(name.to_owned(), progress.text.clone()).as_ref() != Some(&progress.text) {
                    screen.note(&format!("{name}: {}", progress.text));
                }
            }
            Self::Nothing => {}
        }
    }

    /// Something has ended; what it led to is told elsewhere.
    pub(super) fn end(&mut self, name: &str) {
        match self {
            Self::Drawn { each, .. } => {
                if let Some(bar) = each.remove(name) {
                    bar.finish_and_clear();
                }
            }
            Self::Lines { last } => {
                last.remove(name);
            }
            Self::Nothing => {}
        }
    }

    /// Prints something between the bars.
    pub(super) fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        match self {
            Self::Drawn { all, .. } => all.suspend(print),
            Self::Lines { .. } | Self::Nothing => print(),
        }
    }
}

fn bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}  [{bar:24}] {msg}").expect("a fixed template that fits");
    let bar = ProgressBar::hidden().with_style(style.progress_chars("=> "));
    bar.set_prefix(name.to_owned());
    bar
}
