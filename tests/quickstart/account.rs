use std::time::Duration;

use anyhow::{Context, Result, bail};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Packet, PubAckReason};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, MqttOptions};

/// What the broker says to a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken,
    Denied,
    NotLetIn,
}

/// Publishes with an account, or with none.
pub(crate) async fn publish(port: u16, account: Option<(&str, &str)>, topic: &str) -> Result<Answer> {
    let mut options = MqttOptions::new("quickstart-test", "127.0.0.1", port);
    if let Some((user, password)) = account {
        options.set_credentials(user, password);
    }
    let (client, mut events) = AsyncClient::new(options, 4);
    client.try_publish(topic, QoS::AtLeastOnce, false, "x").context("publishing")?;
    let answer = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::PubAck(ack))) => {
                    return Ok(match ack.reason {
                        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Answer::Taken,
                        PubAckReason::NotAuthorized => Answer::Denied,
                        other => bail!("{other:?}"),
                    });
                }
                Err(ConnectionError::ConnectionRefused(
                    ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword,
                )) => return Ok(Answer::NotLetIn),
                Err(error) => return Err(error).context("the connection"),
                Ok(_) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answer).await.context("no answer of the broker")?
}
