//! Between the relay and the rest: what the operator has set for it, and the accounts that were stored.

use radar_wire::topic::AgentId;

use crate::relay::{Credential, Enrollment, Grant, Login, RelaySettings, UpstreamId, UpstreamIdError};
use crate::settings::UpstreamSettings;
use crate::store::rows::UpstreamRow;

/// The accounts at `server` among the stored ones.
pub(super) fn restored(rows: Vec<UpstreamRow>, server: &str) -> impl Iterator<Item = (AgentId, Enrollment)> {
    rows.into_iter().filter(move |row| *row.server == *server).map(|row| (row.agent, row.enrollment))
}

/// What the operator has set, as the relay takes it.
pub(super) fn relay_settings(settings: &UpstreamSettings, origin: String) -> Result<RelaySettings, UpstreamIdError> {
    let mut grants = Vec::new();
    if let Some(identity) = &settings.identity {
        let upstream: UpstreamId = identity.id.as_str().parse()?;
        // A refresh secret is what a token becomes, so it counts when both are given.
        let secret = identity.refresh_secret.clone().map(Credential::Secret);
        let credential = secret.or_else(|| identity.enroll_token.clone().map(Credential::Token));
        grants.extend(credential.map(|credential| Grant { agent: identity.id.clone(), upstream, credential }));
    }
    let login = settings.login.as_ref();
    let login = login.map(|login| Login { username: login.username.clone(), password: login.password.clone() });
    Ok(RelaySettings { grants, login, origin })
}

#[cfg(test)]
mod tests {
    use radar_link::secret::Secret;

    use super::*;
    use crate::settings::Identity;

    fn settings(enroll_token: Option<&str>, refresh_secret: Option<&str>) -> UpstreamSettings {
        let identity = Identity {
            id: "pi".parse().unwrap(),
            enroll_token: enroll_token.map(Secret::new),
            refresh_secret: refresh_secret.map(Secret::new),
        };
        UpstreamSettings { url: "http://a".to_owned(), login: None, identity: Some(identity) }
    }

    #[test]
    fn a_refresh_secret_counts_more_than_a_token() {
        let granted = |token, secret| {
            let settings = relay_settings(&settings(token, secret), "o".to_owned()).unwrap();
            settings.grants.into_iter().map(|grant| grant.credential).collect::<Vec<_>>()
        };
        assert_eq!(granted(Some("t"), None), [Credential::Token(Secret::new("t"))]);
        assert_eq!(granted(Some("t"), Some("s")), [Credential::Secret(Secret::new("s"))]);
    }

    // RR3
    #[test]
    fn accounts_at_another_server_stay_where_they_are() {
        let row = |server: &str| UpstreamRow {
            agent: "pi".parse().unwrap(),
            server: server.into(),
            enrollment: Enrollment::granted("u".parse().unwrap(), Credential::Token(Secret::new("t"))),
        };
        assert_eq!(restored(vec![row("http://a"), row("http://b")], "http://b").count(), 1);
        assert_eq!(restored(vec![row("http://a")], "http://b").count(), 0);
    }
}
