//! Whether the bridge that runs is well, for a container's HEALTHCHECK in an image that has no other program: one request
//! to its own `/health`, written by hand, since no client is worth its start every few seconds.

use std::io::{self, Read as _, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// How long connecting, asking and each part of the answer may take; the bridge itself answers within 5 s.
const PATIENCE: Duration = Duration::from_secs(7);
/// The most bytes of an answer.
const ANSWER: u64 = 64 * 1024;

/// Prints what the bridge that listens at `listen` says of itself; whether it is well.
pub(super) fn ask(listen: SocketAddr, out: &mut impl Write) -> anyhow::Result<bool> {
    let address = reachable(listen);
    let answer = get(address).with_context(|| {
        format!("no bridge answers at {address}; see that it runs, and with this BRIDGE_LISTEN ({listen})")
    })?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("what answers at {address} is no bridge; see BRIDGE_LISTEN");
    };
    let status = head.split(' ').nth(1).unwrap_or_default();
    writeln!(out, "{}", body.trim_end())?;
    match status {
        "200" => Ok(true),
        "503" => Ok(false),
        _ => bail!("what answers at {address} is no bridge: it says {status}; see BRIDGE_LISTEN"),
    }
}

fn get(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In version 1.0 an answer has no chunks.
    write!(stream, "GET /health HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Who listens everywhere is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// What is said and how it ends when somebody answers this at the address.
    fn asked(answer: &'static str) -> (anyhow::Result<bool>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // To the end of it: what is not read when a connection is closed resets it.
            let head: Vec<String> =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            stream.write_all(answer.as_bytes()).unwrap();
            head.into_iter().next()
        });
        let mut out = Vec::new();
        let well = ask(address, &mut out);
        assert_eq!(answering.join().unwrap().as_deref(), Some("GET /health HTTP/1.0"));
        (well, String::from_utf8(out).unwrap())
    }

    // BD1
    #[test]
    fn it_is_well_when_the_bridge_says_so_and_what_it_says_is_printed() {
        let (well, said) = asked("HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n{\"status\":\"ok\"}");
        assert!(well.unwrap());
        assert_eq!(said, "{\"status\":\"ok\"}\n");
        let (well, said) = asked("HTTP/1.0 503 Service Unavailable\r\n\r\n{\"status\":\"degraded\"}");
        assert!(!well.unwrap());
        assert_eq!(said, "{\"status\":\"degraded\"}\n");
    }

    // BD1
    #[test]
    fn nobody_and_somebody_else_are_told_with_the_setting() {
        for answer in ["HTTP/1.0 404 Not Found\r\n\r\n", "hello\r\n", ""] {
            let (well, _) = asked(answer);
            let error = format!("{:#}", well.unwrap_err());
            assert!(error.contains("is no bridge") && error.contains("BRIDGE_LISTEN"), "{error}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = format!("{:#}", ask(closed, &mut Vec::new()).unwrap_err());
        assert!(error.contains("no bridge answers") && error.contains("BRIDGE_LISTEN"), "{error}");
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_loopback() {
        for (listen, at) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), at.parse().unwrap(), "{listen}");
        }
    }
}
