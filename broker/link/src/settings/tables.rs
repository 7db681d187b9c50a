//! The table of settings as a text for the help, the documentation and an example file.

use std::fmt::Write as _;

use super::Setting;

/// Where lines of the help are broken.
const WIDTH: usize = 100;

/// For `--help`: variable, default, sentence, aligned and broken at about 100 columns.
pub fn help_table(table: &[Setting]) -> String {
    let variables = table.iter().map(|setting| setting.variable.len()).max().unwrap_or(0);
    let defaults = table.iter().map(|setting| default(setting).len()).max().unwrap_or(0);
    let indent = 2 + variables + 2 + defaults + 2;
    let mut text = String::new();
    for setting in table {
        let _ = write!(text, "  {:variables$}  {:defaults$}  ", setting.variable, default(setting));
        let mut column = indent;
        for (at, word) in sentence(setting).split(' ').enumerate() {
            if at > 0 && column + 1 + word.len() > WIDTH {
                let _ = write!(text, "\n{:indent$}{word}", "");
                column = indent + word.len();
            } else {
                let space = if at > 0 { " " } else { "" };
                let _ = write!(text, "{space}{word}");
                column += space.len() + word.len();
            }
        }
        text.push('\n');
    }
    text
}

/// For the documentation: a Markdown table.
pub fn markdown_table(table: &[Setting]) -> String {
    let mut text = String::from("| Variable | Key | Default | What it is for |\n|---|---|---|---|\n");
    for setting in table {
        let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
        let sentence = sentence(setting).replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | `{}` | {default} | {sentence} |", setting.variable, setting.key);
    }
    text
}

/// An example of the configuration file: every key as a comment, with its default.
pub fn example_toml(table: &[Setting]) -> String {
    let mut text = String::new();
    for setting in table {
        let value = setting.default.unwrap_or_default();
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(text, "# {}\n#{} = \"{value}\"\n", sentence(setting), setting.key);
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

fn default(setting: &Setting) -> &'static str {
    setting.default.unwrap_or("-")
}

fn sentence(setting: &Setting) -> String {
    if setting.secret {
        format!("{} Or a file that holds it: {}_FILE.", setting.sentence, setting.variable)
    } else {
        setting.sentence.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Setting] = &[
        Setting { key: "pin", variable: "PIN", default: None, secret: true, sentence: "The pin." },
        Setting {
            key: "snapshot_interval",
            variable: "SNAPSHOT_INTERVAL",
            default: Some("30s"),
            secret: false,
            sentence: "How often, at most, a snapshot | whole list is published while something changes on the host and somebody looks.",
        },
    ];

    // DM19
    #[test]
    fn the_help_is_aligned_and_broken() {
        let expected = "  PIN                -    The pin. Or a file that holds it: PIN_FILE.
  SNAPSHOT_INTERVAL  30s  How often, at most, a snapshot | whole list is published while something
                          changes on the host and somebody looks.
";
        assert_eq!(help_table(TABLE), expected);
        assert!(help_table(TABLE).lines().all(|line| line.len() <= WIDTH));
        assert_eq!(help_table(&[]), "");
    }

    // DM19
    #[test]
    fn the_documentation_is_a_table() {
        let text = markdown_table(TABLE);
        assert!(text.contains("| `PIN` | `pin` |  | The pin. Or a file that holds it: PIN_FILE. |\n"), "{text}");
        assert!(text.contains("| `30s` | How often, at most, a snapshot \\| whole"), "{text}");
    }

    // DM19
    #[test]
    fn the_example_holds_every_default() {
        let text = example_toml(TABLE);
        assert!(
            text.starts_with("# The pin. Or a file that holds it: PIN_FILE.\n#pin = \"\"\n\n# How often"),
            "{text}"
        );
        assert!(text.ends_with("looks.\n#snapshot_interval = \"30s\"\n"), "{text}");
    }
}
