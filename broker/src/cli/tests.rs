use super::*;

fn parsed(line: &str) -> Result<Arguments, clap::Error> {
    parse(line.split(' ').map(OsString::from))
}

#[test]
fn without_a_command_it_runs() {
    assert!(parsed("radar-bridge").unwrap().command.is_none());
    let arguments = parsed("radar-bridge run --config /etc/bridge.toml").unwrap();
    assert!(matches!(arguments.command, Some(Command::Run)));
    assert_eq!(arguments.config.unwrap(), PathBuf::from("/etc/bridge.toml"));
}

// DM19
#[test]
fn the_help_shows_every_setting_and_goes_to_standard_output() {
    let help = parsed("radar-bridge --help").unwrap_err();
    assert!(!help.use_stderr());
    let help = help.to_string();
    for setting in table() {
        assert!(help.contains(&format!("\n  {}", setting.variable)), "{help}");
    }
}

#[test]
fn a_version_is_no_failure_and_a_wrong_argument_is() {
    assert!(!parsed("radar-bridge --version").unwrap_err().use_stderr());
    for line in
        ["radar-bridge fly", "radar-bridge events", "radar-bridge events a/b", "radar-bridge events a --since when"]
    {
        assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
    }
}

// DM19
#[test]
fn a_directory_that_cannot_be_used_is_a_wrong_setting_and_one_in_use_is_not() {
    use crate::instance::Instance;
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = Instance::take(&file.join("data")).unwrap_err();
    assert_eq!(code(&below_a_file.into()), UNUSABLE);
    let _taken = Instance::take(room.path()).unwrap();
    assert_eq!(code(&Instance::take(room.path()).unwrap_err().into()), FAILED);
}
