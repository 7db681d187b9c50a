//! A figure, and the table of all figures: as text of at most 110 columns, and as one JSON object each.

use std::fmt::{self, Write};

use anyhow::Result;
use serde_json::{Value, json};

const WIDTH: usize = 110;

/// What a figure is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Goal {
    fn reached(self, measured: f64) -> bool {
        match self {
            Self::AtMost(most) => measured <= most,
            Self::AtLeast(least) => measured >= least,
        }
    }
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The unit of all its values.
    pub unit: &'static str,
    /// What is to be reached.
    pub goal: Goal,
    /// What was reached.
    pub measured: f64,
    /// The same of something known, in the same run.
    pub baseline: Option<f64>,
    /// What the baseline is, and the conditions.
    pub how: String,
}

impl Figure {
    /// The measured value as a multiple of the baseline.
    fn ratio(&self) -> Option<f64> {
        self.baseline.filter(|baseline| *baseline > 0.0).map(|baseline| self.measured / baseline)
    }

    fn verdict(&self) -> &'static str {
        if self.goal.reached(self.measured) { "PASS" } else { "MISS" }
    }
}

/// All figures of a run, and what could not be measured.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
    failures: Vec<String>,
}

impl Report {
    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        tracing::info!("{}: {} {}", figure.name, short(figure.measured), figure.unit);
        self.figures.push(figure);
    }

    /// Notes what could not be measured.
    pub fn check(&mut self, what: &str, measured: Result<()>) {
        if let Err(error) = measured {
            tracing::error!("{what} could not be measured: {error:#}");
            self.failures.push(format!("{what} could not be measured: {error:#}"));
        }
    }

    /// Whether everything that was asked for was measured, whatever came out.
    pub fn complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// One JSON object a line: a figure, or what could not be measured.
    pub fn to_json(&self) -> String {
        let figures = self.figures.iter().map(|figure| {
            let (at_most, at_least) = match figure.goal {
                Goal::AtMost(most) => (json!(most), Value::Null),
                Goal::AtLeast(least) => (Value::Null, json!(least)),
            };
            json!({
                "figure": figure.name,
                "unit": figure.unit,
                "at_most": at_most,
                "at_least": at_least,
                "measured": figure.measured,
                "baseline": figure.baseline,
                "ratio": figure.ratio(),
                "verdict": figure.verdict(),
                "how": figure.how,
            })
        });
        let failures = self.failures.iter().map(|failure| json!({ "failure": failure }));
        figures.chain(failures).map(|line| format!("{line}\n")).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |columns: [&str; 6]| {
            let [name, goal, measured, baseline, ratio, verdict] = columns;
            format!("{name:<50}{goal:>16}{measured:>15}{baseline:>12}{ratio:>9}  {verdict}")
        };
        writeln!(f, "{}", line(["figure", "goal", "measured", "baseline", "ratio", ""]).trim_end())?;
        writeln!(f, "{}", "-".repeat(WIDTH))?;
        for (number, figure) in (1..).zip(&self.figures) {
            let name = format!("{number:>2} {}", figure.name);
            let (sign, value) = match figure.goal {
                Goal::AtMost(value) => ("≤", value),
                Goal::AtLeast(value) => ("≥", value),
            };
            let goal = format!("{sign} {} {}", short(value), figure.unit);
            let measured = format!("{} {}", short(figure.measured), figure.unit);
            let baseline = figure.baseline.map(short).unwrap_or_default();
            let ratio = figure.ratio().map(short).unwrap_or_default();
            writeln!(f, "{}", line([&name, &goal, &measured, &baseline, &ratio, figure.verdict()]))?;
        }
        writeln!(f)?;
        let mut first = 1;
        for same in self.figures.chunk_by(|one, next| one.how == next.how) {
            let last = first + same.len() - 1;
            let numbers = if last == first { first.to_string() } else { format!("{first}–{last}") };
            writeln!(f, "{numbers:>5} {}", wrapped(&same[0].how))?;
            first = last + 1;
        }
        self.failures.iter().try_for_each(|failure| writeln!(f, "    ! {}", wrapped(failure)))
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// Text for behind a number.
fn wrapped(text: &str) -> String {
    const INDENT: usize = 6;
    let mut lines = String::new();
    let mut column = INDENT;
    for word in text.split_whitespace() {
        let size = word.chars().count();
        if column > INDENT && column + 1 + size > WIDTH {
            lines.push_str("\n      ");
            column = INDENT;
        } else if column > INDENT {
            lines.push(' ');
            column += 1;
        }
        write!(lines, "{word}").expect("a String grows");
        column += size;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_its_width_and_tells_pass_from_miss() {
        let mut report = Report::default();
        for (name, goal, measured) in [
            ("bridge: restart with 10,000 agents: knows all of them", Goal::AtMost(10.0), 10.1),
            ("bridge: events stored per second, 30 s", Goal::AtLeast(10_000.0), 10_000.0),
        ] {
            let name = name.chars().take(46).collect();
            let how = "words ".repeat(60);
            report.add(Figure { name, unit: "MB/min", goal, measured, baseline: Some(0.00123), how });
        }
        report.check("this", Ok(()));
        assert!(report.complete());
        report.check("that", Err(anyhow::anyhow!("broken")));
        assert!(!report.complete());
        let text = report.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let verdicts: Vec<_> = text.lines().filter_map(|line| line.rsplit_once("  ").map(|(_, last)| last)).collect();
        assert!(verdicts.contains(&"MISS") && verdicts.contains(&"PASS"), "{text}");
        assert!(text.contains("that could not be measured: broken"), "{text}");
        assert_eq!(report.to_json().lines().count(), 3);
    }
}
