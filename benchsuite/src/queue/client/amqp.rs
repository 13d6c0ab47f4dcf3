//! As much of AMQP 0-9-1 as a durable work queue takes: one channel, a quorum queue, confirms, a consumer that has one
//! message in hand. Section numbers are those of the specification's class and method ids.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::wire::Wire;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xce;

/// How long a worker waits for a message.
const PATIENCE: Duration = Duration::from_secs(1);

/// A producer and worker of one queue.
pub(in crate::queue) struct Amqp {
    wire: Wire,
    queue: String,
    is_consuming: bool,
}

impl Amqp {
    pub(super) async fn connect(addr: SocketAddr, queue: &str) -> Result<Amqp> {
        let mut client = Amqp { wire: Wire::connect(addr).await?, queue: queue.to_owned(), is_consuming: false };
        client.wire.send(b"AMQP\0\0\x09\x01").await?;
        client.expect((10, 10)).await?;
        let start_ok = method(10, 11).long(b"").short("PLAIN").long(b"\0guest\0guest").short("en_US");
        client.call(0, start_ok, (10, 30)).await?;
        client.wire.send(&method(10, 31).u16(2047).u32(131_072).u16(0).frame(0)).await?;
        client.call(0, method(10, 40).short("/").short("").u8(0), (10, 41)).await?;
        client.call(1, method(20, 10).short(""), (20, 11)).await?;
        client.call(1, method(85, 10).u8(0), (85, 11)).await?;
        const DURABLE: u8 = 2;
        let mut quorum = Bytes::default().short("x-queue-type");
        quorum = quorum.u8(b'S').long(b"quorum");
        let declare = method(50, 10).u16(0).short(queue).u8(DURABLE).long(&quorum.0);
        client.call(1, declare, (50, 11)).await?;
        Ok(client)
    }

    /// One after the other: each is confirmed before the next.
    pub(super) async fn put_all(&mut self, bodies: &[&[u8]]) -> Result<()> {
        const DELIVERY_MODE: u16 = 1 << 12;
        const PERSISTENT: u8 = 2;
        for body in bodies {
            let mut frames = method(60, 40).u16(0).short("").short(&self.queue).u8(0).frame(1);
            let header = Bytes::default().u16(60).u16(0).u64(body.len() as u64).u16(DELIVERY_MODE).u8(PERSISTENT);
            frames.extend(frame(HEADER, 1, &header.0));
            frames.extend(frame(BODY, 1, body));
            self.wire.send(&frames).await?;
            self.expect((60, 80)).await?;
        }
        Ok(())
    }

    pub(super) async fn finish_one(&mut self) -> Result<bool> {
        if !self.is_consuming {
            self.call(1, method(60, 10).u32(0).u16(1).u8(0), (60, 11)).await?;
            self.call(1, method(60, 20).u16(0).short(&self.queue).short("me").u8(0).long(b""), (60, 21)).await?;
            self.is_consuming = true;
        }
        match tokio::time::timeout(PATIENCE, self.wire.readable()).await {
            Ok(is_there) => is_there?,
            Err(_) => return Ok(false),
        }
        let deliver = self.expect((60, 60)).await?;
        // Behind the consumer's tag, which is `me`.
        let tag = deliver.get(3..11).context("a delivery without a tag")?;
        let done = method(60, 80).raw(tag).u8(0).frame(1);
        let header = self.read(HEADER).await?;
        let length = header.get(4..12).and_then(|bytes| bytes.try_into().ok()).context("a message without a length")?;
        let mut left = u64::from_be_bytes(length);
        while left > 0 {
            left = left.saturating_sub(self.read(BODY).await?.len() as u64);
        }
        self.wire.send(&done).await?;
        Ok(true)
    }

    async fn call(&mut self, channel: u16, method: Bytes, answer: (u16, u16)) -> Result<Vec<u8>> {
        self.wire.send(&method.frame(channel)).await?;
        self.expect(answer).await
    }

    /// A method's arguments.
    async fn expect(&mut self, (class, id): (u16, u16)) -> Result<Vec<u8>> {
        let payload = self.read(METHOD).await?;
        let arguments = payload.strip_prefix(method(class, id).0.as_slice());
        arguments.map(<[u8]>::to_vec).with_context(|| {
            format!("expected {class}.{id}, heard {:?} {}", payload.get(..4), String::from_utf8_lossy(&payload))
        })
    }

    async fn read(&mut self, kind: u8) -> Result<Vec<u8>> {
        let head = self.wire.bytes(7).await?;
        let (heard, length) = (head[0], u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize);
        let payload = self.wire.bytes(length + 1).await?;
        ensure!(payload[length] == FRAME_END, "a frame without an end");
        if heard != kind {
            bail!("expected a frame {kind}, heard {heard}");
        }
        Ok(payload[..length].to_vec())
    }
}

/// A payload being written.
#[derive(Default)]
struct Bytes(Vec<u8>);

fn method(class: u16, id: u16) -> Bytes {
    Bytes::default().u16(class).u16(id)
}

impl Bytes {
    fn raw(mut self, bytes: &[u8]) -> Bytes {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u8(self, value: u8) -> Bytes {
        self.raw(&[value])
    }

    fn u16(self, value: u16) -> Bytes {
        self.raw(&value.to_be_bytes())
    }

    fn u32(self, value: u32) -> Bytes {
        self.raw(&value.to_be_bytes())
    }

    fn u64(self, value: u64) -> Bytes {
        self.raw(&value.to_be_bytes())
    }

    /// A short string: at most 255 bytes.
    fn short(self, text: &str) -> Bytes {
        let length = u8::try_from(text.len()).expect("names here are short");
        self.u8(length).raw(text.as_bytes())
    }

    /// A long string, or a table that is written already.
    fn long(self, bytes: &[u8]) -> Bytes {
        self.u32(length(bytes)).raw(bytes)
    }

    fn frame(self, channel: u16) -> Vec<u8> {
        frame(METHOD, channel, &self.0)
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    Bytes::default().u8(kind).u16(channel).u32(length(payload)).raw(payload).u8(FRAME_END).0
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("nothing here has gigabytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_what_the_protocol_says() {
        let open = method(20, 10).short("").frame(1);
        assert_eq!(open, [1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xce]);
        assert_eq!(method(60, 40).short("q").long(b"xy").0, [0, 60, 0, 40, 1, b'q', 0, 0, 0, 2, b'x', b'y']);
    }
}
