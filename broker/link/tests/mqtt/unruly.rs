//! A broker that does not keep to the limits.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};

use radar_link::mqtt::{Notice, Settings};
use tokio::time::timeout;

use crate::broker::client;
use crate::owner::{DEADLINE, connected, start};

const MESSAGES: u16 = 20_000;

/// A broker that hands out all its messages without waiting for an acknowledgement. Out of the channel comes a 0 when
/// it has, and each id when it is acknowledged.
fn hands_out_everything() -> (u16, Receiver<u16>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acknowledged, acks) = sync_channel(usize::from(MESSAGES) + 1);
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0, "no connect");
        stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let written = acknowledged.clone();
        let reading = std::thread::spawn(move || {
            while let Some((kind, body)) = packet(&mut reader) {
                if kind == 0x40 {
                    let _ = acknowledged.send(u16::from_be_bytes([body[0], body[1]]));
                }
            }
        });
        for id in 1..=MESSAGES {
            let [high, low] = id.to_be_bytes();
            // QoS 1, topic `t`, the id, no properties, and the id again.
            stream.write_all(&[0x32, 8, 0, 1, b't', high, low, 0, high, low]).unwrap();
        }
        let _ = written.send(0);
        reading.join().unwrap();
    });
    (port, acks)
}

/// The next packet of a client that sends short ones only.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut body = vec![0; head[1].into()];
    stream.read_exact(&mut body).ok()?;
    Some((head[0], body))
}

// E1
#[tokio::test]
async fn messages_beyond_the_receive_maximum_are_taken_as_fast_as_the_owner_takes_them() {
    let (port, acks) = hands_out_everything();
    let settings = client(&format!("mqtt://127.0.0.1:{port}"), "reader");
    let mut reader = start(Settings { manual_acks: true, receive_max: 10, ..settings });
    connected(&mut reader).await;
    let acks = tokio::task::spawn_blocking(move || (acks.recv(), acks));
    let (Ok(0), acks) = timeout(DEADLINE, acks).await.expect("the end of the flood").unwrap() else {
        panic!("an acknowledgement of what nobody has taken");
    };
    // As much as the driver can take meanwhile.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let mut tokens = Vec::new();
    let mut next = 1;
    while next <= MESSAGES {
        match timeout(DEADLINE, reader.next()).await.expect("the next message") {
            Notice::Received(message) => {
                assert_eq!(message.payload, next.to_be_bytes().to_vec());
                tokens.push(message.ack.unwrap());
                next += 1;
            }
            Notice::Disconnected { reason, .. } => panic!("before message {next}: {reason}"),
            _ => {}
        }
        // As a bridge does after a transaction.
        if tokens.len() == 500 {
            tokens.drain(..).for_each(|token| reader.ack(token));
        }
    }
    // The last acknowledgements go out while the owner waits for more.
    let heard = tokio::task::spawn_blocking(move || (1..=MESSAGES).map(|_| acks.recv().unwrap()).collect::<Vec<_>>());
    let heard = tokio::select! {
        heard = timeout(DEADLINE, heard) => heard.expect("every acknowledgement").unwrap(),
        notice = reader.next() => panic!("{notice:?}"),
    };
    assert!(heard.into_iter().eq(1..=MESSAGES), "in the order of arrival");
}
