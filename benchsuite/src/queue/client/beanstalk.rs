//! beanstalkd's protocol: doc/protocol.txt of beanstalkd 1.13.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};

use super::wire::Wire;

/// A producer and worker of one tube.
pub(in crate::queue) struct Beanstalk {
    wire: Wire,
    tube: String,
}

impl Beanstalk {
    pub(in crate::queue) async fn connect(addr: SocketAddr, tube: &str) -> Result<Beanstalk> {
        let mut client = Beanstalk { wire: Wire::connect(addr).await?, tube: tube.to_owned() };
        client.wire.send(format!("use {tube}\r\nwatch {tube}\r\nignore default\r\n").as_bytes()).await?;
        for expected in [format!("USING {tube}"), "WATCHING 2".into(), "WATCHING 1".into()] {
            let answer = client.wire.line().await?;
            ensure!(answer == expected, "refused: {answer}");
        }
        Ok(client)
    }

    pub(in crate::queue) async fn put_all(&mut self, bodies: &[&[u8]], delay_s: u32) -> Result<()> {
        self.wire.send(&puts(bodies, delay_s)).await?;
        for _ in bodies {
            let answer = self.wire.line().await?;
            ensure!(answer.starts_with("INSERTED "), "refused: {answer}");
        }
        Ok(())
    }

    /// Puts a job into a tube.
    pub(in crate::queue) async fn put_into(&mut self, tube: &str, body: &[u8]) -> Result<()> {
        let used = format!("use {tube}\r\n");
        self.wire.send(&[used.as_bytes(), &puts(&[body], 0)].concat()).await?;
        for expected in ["USING ", "INSERTED "] {
            let answer = self.wire.line().await?;
            ensure!(answer.starts_with(expected), "refused: {answer}");
        }
        Ok(())
    }

    pub(in crate::queue) async fn watch(&mut self, tubes: impl Iterator<Item = String>) -> Result<()> {
        for tube in tubes {
            self.wire.send(format!("watch {tube}\r\n").as_bytes()).await?;
            let answer = self.wire.line().await?;
            ensure!(answer.starts_with("WATCHING "), "refused: {answer}");
        }
        Ok(())
    }

    pub(super) async fn finish_one(&mut self) -> Result<bool> {
        self.finish_within(1).await
    }

    /// Takes a job that there is within so many seconds, and says that it is done.
    pub(in crate::queue) async fn finish_within(&mut self, seconds: u32) -> Result<bool> {
        self.wire.send(format!("reserve-with-timeout {seconds}\r\n").as_bytes()).await?;
        let answer = self.wire.line().await?;
        if answer == "TIMED_OUT" {
            return Ok(false);
        }
        let mut words = answer.split(' ');
        let (Some("RESERVED"), Some(id), Some(bytes)) = (words.next(), words.next(), words.next()) else {
            bail!("no job: {answer}");
        };
        let (delete, bytes): (String, usize) = (format!("delete {id}\r\n"), bytes.parse().context("a length")?);
        self.wire.bytes(bytes + 2).await?;
        self.wire.send(delete.as_bytes()).await?;
        let answer = self.wire.line().await?;
        ensure!(answer == "DELETED", "not deleted: {answer}");
        Ok(true)
    }

    pub(super) async fn count(&mut self) -> Result<u64> {
        Ok(self.figure("current-jobs-ready").await? + self.figure("current-jobs-delayed").await?)
    }

    /// A figure of the tube.
    pub(in crate::queue) async fn figure(&mut self, name: &str) -> Result<u64> {
        self.wire.send(format!("stats-tube {}\r\n", self.tube).as_bytes()).await?;
        let answer = self.wire.line().await?;
        let bytes = answer.strip_prefix("OK ").and_then(|bytes| bytes.parse::<usize>().ok());
        let Some(bytes) = bytes else { bail!("no figures: {answer}") };
        let yaml = std::str::from_utf8(self.wire.bytes(bytes + 2).await?).context("figures that are no text")?;
        let value = yaml.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.and_then(|value| value.parse().ok()).with_context(|| format!("no {name} in {yaml}"))
    }
}

/// Whole puts, one behind the other.
fn puts(bodies: &[&[u8]], delay_s: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bodies.iter().map(|body| body.len() + 40).sum());
    for body in bodies {
        bytes.extend_from_slice(format!("put 0 {delay_s} 600 {}\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_are_what_the_protocol_says() {
        assert_eq!(puts(&[b"abc", b"d"], 7), b"put 0 7 600 3\r\nabc\r\nput 0 7 600 1\r\nd\r\n");
    }
}
