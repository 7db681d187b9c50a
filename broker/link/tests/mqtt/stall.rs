//! A connection that is there and carries nothing: cables do this, and routers.

use std::time::Duration;

use radar_link::mqtt::{Reason, Session, Settings};
use tokio::time::timeout;

use crate::broker::{Broker, client};
use crate::owner::{connected, message, start};
use crate::proxy::Proxy;

/// Two pings of rumqttc's shortest keep alive and the slack, with room for a slow machine.
const LIMIT: Duration = Duration::from_secs(25);

async fn stalled(broker: &Broker, publishes: usize) -> String {
    let proxy = Proxy::to(broker.port()).await;
    let id = format!("host-{publishes}");
    let mut host = start(Settings { keep_alive: Duration::from_secs(5), ..client(&proxy.url(), &id) });
    connected(&mut host).await;
    proxy.stand_still();
    // 20 MiB: more than the buffers of both sockets hold, so that the flush inside the poll blocks.
    for key in 0..publishes {
        host.publish(key as u64, message("big", vec![0; 1024 * 1024])).unwrap();
    }
    match timeout(LIMIT, lost(&mut host)).await.expect("the stall was not noticed") {
        Reason::Network(text) => text,
        other => panic!("{other:?}"),
    }
}

async fn lost(host: &mut Session) -> Reason {
    loop {
        if let radar_link::mqtt::Notice::Disconnected { reason, .. } = host.next().await {
            return reason;
        }
    }
}

// E1, DM3
#[tokio::test]
async fn a_line_that_stands_still_is_noticed_idle_and_in_the_middle_of_a_write() {
    let broker = Broker::start().await;
    let (idle, writing) = tokio::join!(stalled(&broker, 0), stalled(&broker, 20));
    assert!(idle.contains("does not answer pings"), "{idle}");
    assert!(writing.contains("took nothing"), "{writing}");
}
