//! Redis as people use it for jobs: a list, and one list per worker for what it has in hand, so that nothing is lost with
//! a worker.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};

use super::wire::Wire;

/// A producer and worker of one list.
pub(in crate::queue) struct Redis {
    wire: Wire,
    list: String,
    in_hand: String,
}

impl Redis {
    pub(super) async fn connect(addr: SocketAddr, list: &str) -> Result<Redis> {
        let in_hand = format!("in-hand-{:x}", stdx::rng::from_kernel().u64(..));
        Ok(Redis { wire: Wire::connect(addr).await?, list: list.to_owned(), in_hand })
    }

    pub(super) async fn put_all(&mut self, bodies: &[&[u8]]) -> Result<()> {
        let mut bytes = Vec::new();
        for body in bodies {
            bytes.extend_from_slice(&command(&[b"RPUSH", self.list.as_bytes(), body]));
        }
        self.wire.send(&bytes).await?;
        for _ in bodies {
            let answer = self.wire.line().await?;
            ensure!(answer.starts_with(':'), "refused: {answer}");
        }
        Ok(())
    }

    pub(super) async fn finish_one(&mut self) -> Result<bool> {
        let (list, in_hand) = (self.list.as_bytes(), self.in_hand.as_bytes());
        let take = command(&[b"BLMOVE", list, in_hand, b"LEFT", b"RIGHT", b"1"]);
        let done = command(&[b"LPOP", in_hand]);
        self.wire.send(&take).await?;
        if !self.bulk().await? {
            return Ok(false);
        }
        self.wire.send(&done).await?;
        ensure!(self.bulk().await?, "the job in hand is gone");
        Ok(true)
    }

    pub(super) async fn count(&mut self) -> Result<u64> {
        let length = command(&[b"LLEN", self.list.as_bytes()]);
        self.wire.send(&length).await?;
        let answer = self.wire.line().await?;
        answer.strip_prefix(':').and_then(|n| n.parse().ok()).with_context(|| format!("no length: {answer}"))
    }

    /// Reads a string; `false` when there is none.
    async fn bulk(&mut self) -> Result<bool> {
        let answer = self.wire.line().await?;
        match answer.strip_prefix('$') {
            Some("-1") => Ok(false),
            Some(bytes) => {
                let bytes: usize = bytes.parse().context("a length")?;
                self.wire.bytes(bytes + 2).await.map(|_| true)
            }
            None if answer == "*-1" => Ok(false),
            None => bail!("no job: {answer}"),
        }
    }
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_what_the_protocol_says() {
        assert_eq!(command(&[b"RPUSH", b"jobs", b"abc"]), b"*3\r\n$5\r\nRPUSH\r\n$4\r\njobs\r\n$3\r\nabc\r\n");
    }
}
