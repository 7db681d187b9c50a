//! The bridge's own metrics, asked for over HTTP.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(10);

/// One reading.
#[derive(Debug)]
pub(super) struct Metrics {
    text: String,
}

impl Metrics {
    pub(super) async fn read(port: u16) -> Result<Self> {
        let reading = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.context("the bridge's HTTP port")?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            if !text.starts_with("HTTP/1.1 200") {
                bail!("/metrics answers {}", text.lines().next().unwrap_or_default());
            }
            anyhow::Ok(text)
        };
        let text = tokio::time::timeout(DEADLINE, reading).await.context("/metrics did not answer")??;
        Ok(Self { text })
    }

    /// The sum of a metric over all its labels.
    pub(super) fn value(&self, name: &str) -> Result<f64> {
        let of_name = self.text.lines().filter_map(|line| line.strip_prefix(name));
        let values = of_name.filter(|rest| rest.starts_with(['{', ' '])).filter_map(|rest| rest.rsplit_once(' '));
        let values: Vec<f64> = values.filter_map(|(_, value)| value.trim().parse().ok()).collect();
        if values.is_empty() {
            bail!("/metrics has no {name}");
        }
        Ok(values.iter().sum())
    }
}
