//! The broker's dynamic-security plugin, asked over a session of its own.

use std::time::Duration;

use bytes::Bytes;
use radar_link::mqtt::{self, Delivery, Message, Notice, Qos, Session, SetupError};
use tokio::time::timeout;

use super::dynsec::{Answer, REQUESTS, RESPONSES, Request, answers, message};
use crate::settings::Settings;

/// How long it may take until the broker has accepted the connection and the subscription.
const CONNECT: Duration = Duration::from_secs(15);
/// How long the plugin may take for an answer; it writes its whole file anew for each request.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a broker without the plugin is given to say nothing.
const FIRST: Duration = Duration::from_secs(5);
/// The most bytes of an answer.
const MAX_ANSWER: u32 = 1024 * 1024;

/// Why the plugin did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("no connection to the broker {url} with the account {account}: {why}")]
    NoConnection { url: String, account: String, why: String },
    #[error("the broker {url} did not answer in time")]
    Silent { url: String },
    #[error("the account {account} may not make accounts at the broker {url}: {why}; {advice}")]
    Denied { url: String, account: String, why: String, advice: &'static str },
    #[error(
        "the broker {url} has no dynamic-security plugin, or the account {account} may not use it: it did not answer; \
         see deploy/mosquitto/mosquitto.conf, or use --format mosquitto-acl for a broker without the plugin"
    )]
    NoPlugin { url: String, account: String },
    #[error("the broker's dynamic-security plugin refuses {command}: {why}")]
    Refused { command: String, why: String },
}

/// The plugin of a broker.
pub(crate) struct Plugin {
    session: Session,
    url: String,
    account: String,
    asked: u64,
    answered: bool,
}

impl Plugin {
    /// Connects with the account that the settings name for it.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, PluginError> {
        let number = getrandom::u32().map_err(PluginError::Random)?;
        let mut session: mqtt::Settings = settings.mqtt.session(format!("radar-accounts-{number:08x}"));
        if let Some(admin) = &settings.admin {
            session.username = Some(admin.username.clone());
            session.password = Some(admin.password.clone());
        }
        session.max_incoming_packet = MAX_ANSWER;
        session.subscriptions = vec![RESPONSES.to_owned()];
        let account = match (&settings.admin, &session.username) {
            (Some(_), Some(name)) => format!("{name} (MQTT_ADMIN_USERNAME)"),
            (None, Some(name)) => format!("{name} (MQTT_USERNAME)"),
            _ => "of nobody (MQTT_ADMIN_USERNAME is not set)".to_owned(),
        };
        let advice = match &settings.admin {
            Some(_) => "MQTT_ADMIN_USERNAME is to be the account of the broker's administrator",
            None => "set MQTT_ADMIN_USERNAME and MQTT_ADMIN_PASSWORD_FILE to the broker's administrator",
        };
        let url = session.url.to_string();
        let mut session = Session::start(session, Box::new(|_| None))?;

        let opening = async {
            loop {
                match session.next().await {
                    Notice::Subscribed { .. } => return Ok(()),
                    Notice::SubscriptionRefused { reason: why, .. } => {
                        return Err(PluginError::Denied { url: url.clone(), account: account.clone(), why, advice });
                    }
                    Notice::Disconnected { reason, .. } => {
                        let why = reason.to_string();
                        return Err(PluginError::NoConnection { url: url.clone(), account: account.clone(), why });
                    }
                    Notice::Connected { .. } | Notice::Delivered { .. } | Notice::Received(_) => {}
                }
            }
        };
        timeout(CONNECT, opening).await.map_err(|_| PluginError::Silent { url: url.clone() })??;
        Ok(Self { session, url, account, asked: 0, answered: false })
    }

    /// Asks for all of it, in order; what the plugin refuses does not keep it from the rest.
    pub(crate) async fn ask(&mut self, requests: &[Request]) -> Result<Vec<Answer>, PluginError> {
        self.asked += 1;
        let mark = self.asked.to_string();
        let no_connection =
            |why: String| PluginError::NoConnection { url: self.url.clone(), account: self.account.clone(), why };
        let asked = Message {
            topic: REQUESTS.to_owned(),
            payload: Bytes::from(message(requests, &mark)),
            retain: false,
            qos: Qos::AtLeastOnce,
            content_type: None,
            expiry: None,
        };
        self.session.publish(self.asked, asked).map_err(|error| no_connection(error.to_string()))?;
        let no_plugin = || PluginError::NoPlugin { url: self.url.clone(), account: self.account.clone() };
        let answering = async {
            loop {
                match self.session.next().await {
                    Notice::Received(received) => {
                        if let Some(answers) = answers(requests, &mark, &received.payload) {
                            return Ok(answers);
                        }
                    }
                    // A broker without the plugin takes it for a message to nobody, or refuses it.
                    Notice::Delivered { outcome: Delivery::Refused(_), .. } => return Err(no_plugin()),
                    Notice::Disconnected { reason, .. } => return Err(no_connection(reason.to_string())),
                    Notice::Connected { .. }
                    | Notice::Delivered { .. }
                    | Notice::Subscribed { .. }
                    | Notice::SubscriptionRefused { .. } => {}
                }
            }
        };
        let patience = if self.answered { ANSWER } else { FIRST };
        let answers = timeout(patience, answering).await.unwrap_or_else(|_| Err(no_plugin()))?;
        self.answered = true;
        Ok(answers)
    }

    /// Asks for all of it, and fails with the first that is refused; whether each was so already.
    pub(crate) async fn insist(&mut self, requests: &[Request]) -> Result<Vec<bool>, PluginError> {
        let answers = self.ask(requests).await?;
        let settled = requests.iter().zip(answers).map(|(request, answer)| match answer {
            Answer::Done(_) => Ok(false),
            Answer::Settled => Ok(true),
            Answer::Refused(why) => Err(PluginError::Refused { command: request.command().to_owned(), why }),
        });
        settled.collect()
    }

    /// Says goodbye.
    pub(crate) async fn close(self) {
        // Everything was answered; a goodbye that is lost changes nothing.
        let _ = self.session.disconnect(Duration::from_secs(1)).await;
    }
}
