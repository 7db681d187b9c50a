//! The words of Mosquitto's dynamic-security plugin, version 2.0: its file, what it is asked, what it answers. Pure.

use serde_json::{Value, json};

use super::access::Access;
use super::hash::Hashed;

/// Where the plugin is asked.
pub(crate) const REQUESTS: &str = "$CONTROL/dynamic-security/v1";
/// Where it answers, to the one who asked.
pub(crate) const RESPONSES: &str = "$CONTROL/dynamic-security/v1/response";

/// An account as the plugin's file has it.
#[derive(Debug)]
pub(crate) struct Account<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is, for people.
    pub text: &'a str,
    /// Its password.
    pub password: &'a Hashed,
    /// What it may do; its role has the account's name.
    pub rules: Value,
}

/// What the account may do that makes the others: speak with the plugin, and nothing else.
pub(crate) fn admin_rules() -> Value {
    json!([
        { "acltype": "publishClientSend", "topic": format!("{REQUESTS}/#"), "allow": true },
        { "acltype": "publishClientReceive", "topic": format!("{REQUESTS}/#"), "allow": true },
        { "acltype": "subscribePattern", "topic": format!("{REQUESTS}/#"), "allow": true },
    ])
}

/// The rules of a role. A topic without `+` may be subscribed to as it is, and by no filter that matches more.
pub(crate) fn rules(access: &Access) -> Value {
    let rule = |kind: &str, topic: &String| json!({ "acltype": kind, "topic": topic, "allow": true });
    let sends = access.publish.iter().map(|topic| rule("publishClientSend", topic));
    let receives = access.receive.iter().map(|topic| rule("publishClientReceive", topic));
    let subscribes = access
        .receive
        .iter()
        .map(|topic| rule(if topic.contains('+') { "subscribePattern" } else { "subscribeLiteral" }, topic));
    sends.chain(receives).chain(subscribes).collect()
}

/// The plugin's file, in which nobody may do what no role says.
pub(crate) fn document(accounts: &[Account<'_>]) -> Value {
    let client = |account: &Account<'_>| {
        json!({
            "username": account.name,
            "textname": account.text,
            "password": account.password.hash(),
            "salt": account.password.salt(),
            "iterations": account.password.rounds(),
            "roles": [{ "rolename": account.name }],
        })
    };
    let role = |account: &Account<'_>| json!({ "rolename": account.name, "acls": account.rules });
    json!({
        "defaultACLAccess": {
            "publishClientSend": false,
            "publishClientReceive": false,
            "subscribe": false,
            "unsubscribe": true,
        },
        "clients": accounts.iter().map(client).collect::<Vec<_>>(),
        "groups": [],
        "roles": accounts.iter().map(role).collect::<Vec<_>>(),
    })
}

/// One thing that the plugin is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    body: Value,
    /// The refusal that means that it is so already.
    settled: Option<&'static str>,
}

impl Request {
    fn new(body: Value, settled: Option<&'static str>) -> Self {
        Self { body, settled }
    }

    /// What it does, in the plugin's words.
    pub(crate) fn command(&self) -> &str {
        self.body["command"].as_str().unwrap_or_default()
    }

    /// What nobody may do whom no role allows it.
    pub(crate) fn defaults() -> Self {
        Self::new(json!({ "command": "getDefaultACLAccess" }), None)
    }

    /// Makes a role; the first of what belongs to an account, it says who of two that ask at once may make the rest.
    pub(crate) fn claim(role: &str, access: &Access) -> Self {
        let body = json!({ "command": "createRole", "rolename": role, "acls": rules(access) });
        Self::new(body, Some("Role already exists"))
    }

    /// Makes an account with a role that is there.
    pub(crate) fn create(account: &str, client_id: Option<&str>, text: &str, password: &str, role: &str) -> Self {
        let mut body = json!({
            "command": "createClient", "username": account, "password": password, "textname": text,
            "roles": [{ "rolename": role }],
        });
        if let Some(client_id) = client_id {
            body["clientid"] = client_id.into();
        }
        Self::new(body, Some("Client already exists"))
    }

    /// Gives a role that is there its rules.
    pub(crate) fn rule(role: &str, access: &Access) -> Self {
        Self::new(json!({ "command": "modifyRole", "rolename": role, "acls": rules(access) }), None)
    }

    /// Gives an account that is there its password, its client id and its one role.
    pub(crate) fn furnish(account: &str, client_id: Option<&str>, password: &str, role: &str) -> Self {
        let mut body = json!({
            "command": "modifyClient", "username": account, "password": password, "roles": [{ "rolename": role }],
        });
        if let Some(client_id) = client_id {
            body["clientid"] = client_id.into();
        }
        Self::new(body, None)
    }

    /// Whether an account is there.
    pub(crate) fn account(account: &str) -> Self {
        Self::new(json!({ "command": "getClient", "username": account }), Some("Client not found"))
    }

    /// Whether a role is there.
    pub(crate) fn role(role: &str) -> Self {
        Self::new(json!({ "command": "getRole", "rolename": role }), Some("Role not found"))
    }

    /// Deletes an account, and ends its connection.
    pub(crate) fn delete_account(account: &str) -> Self {
        Self::new(json!({ "command": "deleteClient", "username": account }), Some("Client not found"))
    }

    /// Deletes a role.
    pub(crate) fn delete_role(role: &str) -> Self {
        Self::new(json!({ "command": "deleteRole", "rolename": role }), Some("Role not found"))
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// Done, with what was asked for, if anything.
    Done(Value),
    /// It is so already.
    Settled,
    /// Refused, in the plugin's words.
    Refused(String),
}

/// The one message that asks for all of it; `mark` comes back in its answers.
pub(crate) fn message(requests: &[Request], mark: &str) -> Vec<u8> {
    let commands = requests.iter().enumerate().map(|(at, request)| {
        let mut body = request.body.clone();
        body["correlationData"] = format!("{mark}-{at}").into();
        body
    });
    json!({ "commands": commands.collect::<Vec<_>>() }).to_string().into_bytes()
}

/// The answers to a message, in the order of its requests; `None` when they are another's or not whole.
pub(crate) fn answers(requests: &[Request], mark: &str, payload: &[u8]) -> Option<Vec<Answer>> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    let responses = payload["responses"].as_array()?;
    let answer = |(at, request): (usize, &Request)| {
        let name = format!("{mark}-{at}");
        let response = responses.iter().find(|response| response["correlationData"] == name.as_str())?;
        Some(match response["error"].as_str() {
            None => Answer::Done(response["data"].clone()),
            Some(error) if Some(error) == request.settled => Answer::Settled,
            Some(error) => Answer::Refused(error.to_owned()),
        })
    };
    requests.iter().enumerate().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use radar_link::secret::Secret;
    use radar_wire::topic::Prefix;

    use super::*;

    // E8
    #[test]
    fn a_role_allows_what_the_table_says_and_nothing_by_default() {
        let access = Access {
            publish: vec!["radar/v1/pi/event".to_owned()],
            receive: vec!["radar/v1/pi/command".to_owned(), "radar/v1/+/log/+".to_owned()],
        };
        let hashed = Hashed::new(&Secret::new("x"), [7; 12]);
        let document = document(&[Account { name: "pi", text: "A host", password: &hashed, rules: rules(&access) }]);
        let kinds: Vec<_> = document["roles"][0]["acls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| format!("{} {} {}", rule["acltype"], rule["topic"], rule["allow"]).replace('"', ""))
            .collect();
        assert_eq!(
            kinds,
            [
                "publishClientSend radar/v1/pi/event true",
                "publishClientReceive radar/v1/pi/command true",
                "publishClientReceive radar/v1/+/log/+ true",
                "subscribeLiteral radar/v1/pi/command true",
                "subscribePattern radar/v1/+/log/+ true",
            ]
        );
        let closed = ["publishClientSend", "publishClientReceive", "subscribe"];
        assert!(closed.iter().all(|kind| document["defaultACLAccess"][kind] == false), "{document}");
        let client = &document["clients"][0];
        assert_eq!((&client["iterations"], client["salt"].as_str().unwrap().len()), (&json!(101), 16));
        assert_eq!(client["password"], hashed.hash());
        assert!(!document.to_string().contains("$7$"));
    }

    // E8
    #[test]
    fn the_plugin_is_asked_in_its_words() {
        let access = Access::agent(&Prefix::default(), &"pi".parse().unwrap());
        let name = "radar-agent-pi";
        let all = [
            Request::claim(name, &access),
            Request::create(name, Some(name), "Pi", "secret", name),
            Request::create("radar-bridge", None, "The bridge", "secret", "radar-bridge"),
            Request::rule(name, &access),
            Request::furnish(name, Some(name), "secret", name),
            Request::delete_account(name),
        ];
        let message: Value = serde_json::from_slice(&message(&all, "m")).unwrap();
        let commands = &message["commands"];
        assert_eq!(
            (&commands[0]["command"], commands[0]["acls"].as_array().unwrap().len()),
            (&json!("createRole"), 15)
        );
        assert_eq!(
            commands[1],
            json!({
                "command": "createClient", "username": name, "clientid": name, "textname": "Pi", "password": "secret",
                "roles": [{ "rolename": name }], "correlationData": "m-1",
            })
        );
        assert_eq!(commands[2]["clientid"], Value::Null);
        assert_eq!((&commands[3]["command"], &commands[3]["acls"]), (&json!("modifyRole"), &commands[0]["acls"]));
        assert_eq!(commands[4]["roles"], json!([{ "rolename": name }]));
        assert_eq!(all[5].command(), "deleteClient");
    }

    // E8
    #[test]
    fn answers_are_found_by_their_mark() {
        let requests = [Request::account("pi"), Request::delete_role("pi"), Request::defaults()];
        let check = |payload: &str, expected: &str| {
            let seen = match answers(&requests, "m", payload.as_bytes()) {
                None => "-".to_owned(),
                Some(all) => all
                    .iter()
                    .map(|it| match it {
                        Answer::Done(_) => "done".to_owned(),
                        Answer::Settled => "settled".to_owned(),
                        Answer::Refused(why) => why.clone(),
                    })
                    .collect::<Vec<_>>()
                    .join(","),
            };
            assert_eq!(seen, expected, "{payload}");
        };
        check(
            r#"{"responses":[{"command":"getClient","data":{},"correlationData":"m-0"},
                {"command":"getDefaultACLAccess","error":"Internal error","correlationData":"m-2"},
                {"command":"deleteRole","error":"Role not found","correlationData":"m-1"}]}"#,
            "done,settled,Internal error",
        );
        check(r#"{"responses":[{"command":"getClient","correlationData":"m-0"}]}"#, "-");
        check(r#"{"responses":[{"correlationData":"n-0"},{"correlationData":"n-1"},{"correlationData":"n-2"}]}"#, "-");
        for broken in ["", "{}", "[]", r#"{"responses":{}}"#, r#"{"responses":[1]}"#, "\u{0}"] {
            check(broken, "-");
        }
    }
}
