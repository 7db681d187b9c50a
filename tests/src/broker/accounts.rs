use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The account of the test itself, which may read and write everything.
pub(super) const OWN: (&str, &str) = ("test", "test-password");

/// Who may log in, and what they may do; nobody else gets in.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: Vec<(String, String)>,
    rules: String,
}

impl Accounts {
    /// Agents whose account is named as their id and that reach their own topics only, and a bridge
    /// (`bridge`) that reaches all of the prefix. The password of `x` is `x-password`.
    pub fn fleet(prefix: &str, agents: &[&str]) -> Self {
        let mut rules = String::new();
        for (access, channels) in [
            ("write", &["status", "snapshot", "event", "enroll", "outcome", "stats", "log/+"][..]),
            ("read", &["status", "snapshot", "resend", "command"][..]),
        ] {
            for channel in channels {
                writeln!(rules, "pattern {access} {prefix}/v1/%u/{channel}").expect("a String grows");
            }
        }
        let mut accounts = Self { users: Vec::new(), rules };
        for agent in agents {
            accounts.add(agent, "");
        }
        accounts.add("bridge", &format!("topic readwrite {prefix}/v1/#"));
        accounts
    }

    /// Adds an account with rules of its own, one a line in the form of Mosquitto's ACL file.
    pub fn add(&mut self, user: &str, rules: &str) {
        self.add_with_password(user, &format!("{user}-password"), rules);
    }

    /// The same with a password of its own.
    pub fn add_with_password(&mut self, user: &str, password: &str, rules: &str) {
        self.users.push((user.to_owned(), password.to_owned()));
        // Rules before the first `user` line are for everybody, so a user's own follow at the end.
        writeln!(self.rules, "user {user}\n{rules}").expect("a String grows");
    }

    pub(super) fn write(&self, passwords: &Path, acl: &Path) -> Result<()> {
        let own = (OWN.0.to_owned(), OWN.1.to_owned());
        let lines = self.users.iter().chain([&own]).map(|(user, word)| format!("{user}:{word}\n"));
        fs::write(passwords, lines.collect::<String>()).context("the password file")?;
        let hashed = Command::new("mosquitto_passwd").arg("-U").arg(passwords).output();
        let hashed = hashed.context("mosquitto_passwd is needed for accounts")?;
        if !hashed.status.success() {
            bail!("mosquitto_passwd: {}", String::from_utf8_lossy(&hashed.stderr));
        }
        fs::write(acl, format!("{}user {}\ntopic readwrite #\n", self.rules, OWN.0)).context("the ACL")
    }
}
