use super::*;

fn parsed(line: &str) -> Result<Arguments, clap::Error> {
    parse(format!("radar {line}").split_whitespace().map(OsString::from))
}

#[test]
fn the_program_is_consistent() {
    program().debug_assert();
}

// DM4
#[test]
fn what_is_typed_is_understood_or_refused() {
    let digest = "a".repeat(64);
    for (line, fits) in [
        ("agents", true),
        ("agents --json --url http://h:1 --key-file k --as Ann", true),
        ("--json agents", true),
        ("", false),
        ("fly", false),
        ("ps", true),
        ("ps pi", true),
        ("ps p/i", false),
        ("ps --all-agents -a --label app=web --label x --state exited", true),
        ("ps pi --all-agents", false),
        ("start pi/web", true),
        ("start", false),
        ("start pi", false),
        ("stop pi/web attic/db --timeout 5 --no-wait --valid 5m", true),
        ("stop pi/web --valid 6m", false),
        ("stop pi/web --valid 500ms", false),
        ("start pi/web --timeout 5", false),
        ("restart pi/web -t 5", true),
        ("kill pi/web -s HUP", true),
        ("pause pi/web", true),
        ("unpause pi/web", true),
        ("rename pi/web www", true),
        ("rename pi/web", false),
        ("rm pi/web -f -v", true),
        ("inspect pi/web", true),
        ("top pi/web", true),
        ("logs -f -n 10 --since 2h --until 2026-11-21 -t --stdout pi/web", true),
        ("logs --stdout --stderr pi/web", false),
        ("logs pi", false),
        ("stats", true),
        ("stats pi --no-stream", true),
        ("stats pi/web --interval 5", true),
        ("stats --interval 0", false),
        ("images pi", true),
        ("images", false),
        ("networks pi", true),
        ("volumes pi", true),
        ("pull pi nginx:1", true),
        ("prune pi images --all", true),
        ("prune pi everything", false),
        ("image rm pi nginx:1 redis -f", true),
        ("image rm pi", false),
        ("network create pi front -d bridge --internal", true),
        ("network rm pi front back", true),
        ("volume create pi data", true),
        ("volume rm pi data", true),
        ("update pi/web --image nginx:2 --patience 60 --dry-run", true),
        ("update pi/web attic/web --in-waves-of 2 --stop-on-failure", true),
        ("update", false),
        ("update --all", true),
        ("update --all --agent pi --agent attic --label app=web --in-waves-of 5 --stop-on-failure --yes", true),
        ("update --all pi/web", false),
        ("update --all --image nginx:2", false),
        ("update pi/web --label app=web", false),
        ("update --label app=web", false),
        ("update --all --in-waves-of 0", false),
        ("self-update pi --image radar-agent:2", true),
        ("self-update pi", false),
        (&format!("self-update pi --program https://h/a --sha256 {digest} --signature abc"), true),
        (&format!("self-update pi --program https://h/a --sha256 {digest}"), false),
        ("self-update pi --program https://h/a --sha256 abc --signature abc", false),
        (&format!("self-update pi --image x --program https://h/a --sha256 {digest} --signature abc"), false),
        ("events -f --agent pi --since 2h -n 50", true),
        ("events -n 2000", false),
        ("audit --agent pi -n 5", true),
        ("audit -n 0", false),
        ("command 123-abc", true),
        ("completions bash", true),
        ("completions tcsh", false),
    ] {
        let got = parsed(line);
        assert_eq!(got.is_ok(), fits, "{line}: {got:?}");
        if let Err(error) = got {
            assert!(error.use_stderr() && error.exit_code() == 2, "{line}");
        }
    }
}

#[test]
fn the_help_shows_the_exit_codes_and_takes_no_key() {
    let help = parsed("--help").unwrap_err();
    assert!(!help.use_stderr());
    assert!(help.to_string().contains("6  not authorized"), "{help}");
    assert!(parsed("agents --key radar_x").is_err());
}
