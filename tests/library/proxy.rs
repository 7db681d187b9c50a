use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use radar_tests::proxy::{Direction, Proxy, Target};
use radar_tests::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);
/// Long enough for loopback to deliver what was not held back.
const NOTHING_COMES: Duration = Duration::from_millis(200);

/// A server that sends everything back.
async fn echo() -> Result<(u16, JoinSet<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let (mut from, mut to) = stream.into_split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Ok((port, server))
}

async fn connect(proxy: &Proxy) -> Result<TcpStream> {
    Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await?)
}

async fn round(stream: &mut TcpStream, word: &[u8]) -> Result<()> {
    stream.write_all(word).await?;
    let mut back = vec![0; word.len()];
    timeout(DEADLINE, stream.read_exact(&mut back)).await??;
    assert_eq!(back, word);
    Ok(())
}

#[tokio::test]
async fn bytes_pass_and_are_counted_each_way() -> Result<()> {
    let (port, _server) = echo().await?;
    let proxy = Proxy::start(Target::Port(port)).await?;
    let mut stream = connect(&proxy).await?;
    round(&mut stream, b"hello").await?;
    round(&mut stream, &[7; 100_000]).await?;
    until("both counts", DEADLINE, async || {
        let counts = (proxy.bytes(Direction::Up), proxy.bytes(Direction::Down));
        if counts == (100_005, 100_005) { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await?;
    stream.shutdown().await?;
    assert_eq!(timeout(DEADLINE, stream.read(&mut [0; 1])).await??, 0, "a half-closed connection ends");
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_and_refuses_until_resumed() -> Result<()> {
    let (port, _server) = echo().await?;
    let proxy = Proxy::start(Target::Port(port)).await?;
    let mut stream = connect(&proxy).await?;
    round(&mut stream, b"before").await?;

    proxy.cut();
    assert!(timeout(DEADLINE, stream.read(&mut [0; 1])).await?.is_err(), "reset, not closed");
    let mut refused = connect(&proxy).await?;
    assert!(matches!(timeout(DEADLINE, refused.read(&mut [0; 1])).await?, Ok(0) | Err(_)));

    proxy.resume();
    round(&mut connect(&proxy).await?, b"after").await?;

    let mut stream = connect(&proxy).await?;
    round(&mut stream, b"again").await?;
    proxy.reset();
    assert!(timeout(DEADLINE, stream.read(&mut [0; 1])).await?.is_err());
    round(&mut connect(&proxy).await?, b"at once").await
}

#[tokio::test]
async fn a_stall_keeps_sockets_open_and_holds_bytes_back() -> Result<()> {
    let (port, _server) = echo().await?;
    let proxy = Proxy::start(Target::Port(port)).await?;
    let mut stream = connect(&proxy).await?;
    round(&mut stream, b"before").await?;

    proxy.stall();
    stream.write_all(b"held").await?;
    let mut late = connect(&proxy).await?;
    late.write_all(b"late").await?;
    let mut byte = [0; 1];
    assert!(timeout(NOTHING_COMES, stream.read(&mut byte)).await.is_err());
    assert!(timeout(NOTHING_COMES, late.read(&mut byte)).await.is_err());

    proxy.resume();
    let mut back = [0; 4];
    timeout(DEADLINE, stream.read_exact(&mut back)).await??;
    assert_eq!(&back, b"held");
    timeout(DEADLINE, late.read_exact(&mut back)).await??;
    assert_eq!(&back, b"late");
    Ok(())
}

#[tokio::test]
async fn one_direction_stalls_alone() -> Result<()> {
    let (port, _server) = echo().await?;
    let proxy = Proxy::start(Target::Port(port)).await?;
    let mut stream = connect(&proxy).await?;
    round(&mut stream, b"12345").await?;

    proxy.stall_one(Direction::Down);
    stream.write_all(b"67890").await?;
    until("the server's side to have it", DEADLINE, async || match proxy.bytes(Direction::Up) {
        10 => Ok(()),
        other => Err(format!("{other} bytes up")),
    })
    .await?;
    assert!(timeout(NOTHING_COMES, stream.read(&mut [0; 1])).await.is_err());
    proxy.resume();
    let mut back = [0; 5];
    timeout(DEADLINE, stream.read_exact(&mut back)).await??;
    assert_eq!(&back, b"67890");
    Ok(())
}

#[tokio::test]
async fn a_delay_slows_every_chunk() -> Result<()> {
    let (port, _server) = echo().await?;
    let proxy = Proxy::start(Target::Port(port)).await?;
    let mut stream = connect(&proxy).await?;
    proxy.delay(NOTHING_COMES * 2);
    stream.write_all(b"x").await?;
    // Two ways of 400 ms: the first half cannot have brought it.
    assert!(timeout(NOTHING_COMES * 2, stream.read(&mut [0; 1])).await.is_err());
    assert_eq!(timeout(DEADLINE, stream.read(&mut [0; 1])).await??, 1);
    Ok(())
}
