//! A tunnel between two connections after `101 Switching Protocols`: bytes to and fro, as few of them kept as fit in a
//! buffer each way, until both sides have ended, nothing moves for too long, or the time is up.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a tunnel lasts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelLimits {
    /// Without a byte either way.
    pub idle: Duration,
    /// Altogether.
    pub total: Duration,
    /// Bytes that are kept each way while the other side does not take them.
    pub buffer_bytes: usize,
}

/// What a tunnel carried, and how it ended.
#[derive(Debug)]
pub struct Carried {
    /// Bytes from the client.
    pub from_client: u64,
    /// Bytes to the client.
    pub to_client: u64,
    /// How it ended.
    pub end: TunnelEnd,
}

/// How a tunnel ended.
#[derive(Debug)]
pub enum TunnelEnd {
    /// Both sides had said everything, and it was delivered.
    Closed,
    /// Nothing moved for too long.
    Idle,
    /// The time was up.
    TooLong,
    /// The router stops.
    Drained,
    /// A side broke off.
    Failed(io::Error),
}

/// Carries bytes between `client` and `endpoint`, first those that were read already: `early` from the client, `surplus` for
/// it. A side that has ended is told to the other, which may go on. When `drained` is ready the tunnel
/// ends: what has been read by then is still delivered, if that takes no longer than a second.
pub async fn tunnel<C, E>(
    client: &mut C,
    endpoint: &mut E,
    [early, surplus]: [&[u8]; 2],
    limits: TunnelLimits,
    drained: impl Future<Output = ()>,
) -> Carried
where
    C: AsyncRead + AsyncWrite + Unpin,
    E: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Way::new(limits.buffer_bytes, early), Way::new(limits.buffer_bytes, surplus));
    let mut drained = pin!(drained);
    let mut idle = pin!(sleep(limits.idle));
    let mut total = pin!(sleep(limits.total));
    let mut draining = false;
    let end = poll_fn(|cx| {
        let before = up.moved + down.moved;
        let upward = up.carry(cx, client, endpoint);
        let downward = down.carry(cx, endpoint, client);
        match (upward, downward) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                return Poll::Ready(TunnelEnd::Failed(error));
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(TunnelEnd::Closed),
            _ if draining && up.is_empty() && down.is_empty() => return Poll::Ready(TunnelEnd::Drained),
            _ => {}
        }
        if !draining && drained.as_mut().poll(cx).is_ready() {
            draining = true;
            (up.reads, down.reads) = (false, false);
            if up.is_empty() && down.is_empty() {
                return Poll::Ready(TunnelEnd::Drained);
            }
            end_within(DRAIN_TIME, total.as_mut());
        }
        if up.moved + down.moved > before {
            idle.as_mut().reset(Instant::now() + limits.idle);
        }
        if total.as_mut().poll(cx).is_ready() {
            return Poll::Ready(if draining { TunnelEnd::Drained } else { TunnelEnd::TooLong });
        }
        idle.as_mut().poll(cx).map(|()| TunnelEnd::Idle)
    })
    .await;
    Carried { from_client: up.written, to_client: down.written, end }
}

/// Time to deliver what has been read when the router stops.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Brings a timer forward; it is polled afterwards.
fn end_within(limit: Duration, timer: Pin<&mut Sleep>) {
    let until = Instant::now() + limit;
    if until < timer.deadline() {
        timer.reset(until);
    }
}

/// One direction.
struct Way {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Whether anything more is read.
    reads: bool,
    has_ended: bool,
    is_shut: bool,
    /// Bytes read and bytes written, together: whether anything moves.
    moved: u64,
    written: u64,
}

impl Way {
    fn new(buffer_bytes: usize, first: &[u8]) -> Way {
        let mut buffer = vec![0; buffer_bytes.max(first.len()).max(1)].into_boxed_slice();
        buffer[..first.len()].copy_from_slice(first);
        Way { buffer, start: 0, end: first.len(), reads: true, has_ended: false, is_shut: false, moved: 0, written: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Carries as much as goes now; ready when `from` has ended and `to` knows it.
    fn carry<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if self.is_shut {
                return Poll::Ready(Ok(()));
            }
            if !self.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer[self.start..self.end]))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += written;
                self.moved += written as u64;
                self.written += written as u64;
                continue;
            }
            if self.has_ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.is_shut = true;
                continue;
            }
            // Nothing is kept: what the layer below keeps (TLS) goes out before more is waited for.
            let _flushed_or_waiting = Pin::new(&mut *to).poll_flush(cx)?;
            if !self.reads {
                return Poll::Pending;
            }
            let mut read = ReadBuf::new(&mut self.buffer);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
            let bytes = read.filled().len();
            (self.start, self.end) = (0, bytes);
            self.moved += bytes as u64;
            self.has_ended = bytes == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    const LIMITS: TunnelLimits =
        TunnelLimits { idle: Duration::from_secs(10), total: Duration::from_secs(60), buffer_bytes: 16 };

    struct Rig {
        client: DuplexStream,
        endpoint: DuplexStream,
        stop: oneshot::Sender<()>,
        tunnel: JoinHandle<Carried>,
    }

    fn rig(surplus: &'static [u8], pipe_bytes: usize) -> Rig {
        let ((client, mut near), (endpoint, mut far)) = (duplex(pipe_bytes), duplex(pipe_bytes));
        let (stop, stopped) = oneshot::channel::<()>();
        let tunnel = tokio::spawn(async move {
            let stopped = async {
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tunnel(&mut near, &mut far, [b"", surplus], LIMITS, stopped).await
        });
        Rig { client, endpoint, stop, tunnel }
    }

    #[tokio::test]
    async fn bytes_go_to_and_fro_and_each_side_ends_for_itself() {
        let Rig { mut client, mut endpoint, tunnel, stop } = rig(b"first ", 64);
        let long = vec![7; 10_000];
        let sent = long.clone();
        let writer = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut back = String::new();
            client.read_to_string(&mut back).await.unwrap();
            back
        });
        let mut got = Vec::new();
        endpoint.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, long);
        endpoint.write_all(b"and back").await.unwrap();
        drop(endpoint);
        assert_eq!(writer.await.unwrap(), "first and back");
        let carried = tunnel.await.unwrap();
        assert_eq!((carried.from_client, carried.to_client), (10_000, 14));
        assert!(matches!(carried.end, TunnelEnd::Closed), "{:?}", carried.end);
        drop(stop);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_moves_for_too_long() {
        let mut rig = rig(b"", 64);
        let begin = Instant::now();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(9)).await;
            rig.client.write_all(b"x").await.unwrap();
            rig.endpoint.read_exact(&mut [0]).await.unwrap();
        }
        let carried = rig.tunnel.await.unwrap();
        assert!(matches!(carried.end, TunnelEnd::Idle), "{:?}", carried.end);
        assert_eq!(begin.elapsed().as_secs(), 27 + 10);
        assert_eq!(carried.from_client, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_up() {
        let mut rig = rig(b"", 64);
        let begin = Instant::now();
        let carried = loop {
            tokio::select! {
                carried = &mut rig.tunnel => break carried.unwrap(),
                () = tokio::time::sleep(Duration::from_secs(7)) => {
                    rig.client.write_all(b"x").await.unwrap();
                    rig.endpoint.read_exact(&mut [0]).await.unwrap();
                }
            }
        };
        assert!(matches!(carried.end, TunnelEnd::TooLong), "{:?}", carried.end);
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_router_that_stops_delivers_what_it_has() {
        let mut rig = rig(b"", 4);
        rig.client.write_all(b"12345678").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        rig.stop.send(()).unwrap();
        let mut got = Vec::new();
        rig.endpoint.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"12345678");
        assert!(matches!(rig.tunnel.await.unwrap().end, TunnelEnd::Drained));
    }

    #[tokio::test(start_paused = true)]
    async fn a_router_that_stops_waits_a_second_for_who_takes_nothing() {
        let mut rig = rig(b"", 4);
        rig.client.write_all(b"12345678").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begin = Instant::now();
        rig.stop.send(()).unwrap();
        let carried = rig.tunnel.await.unwrap();
        assert!(matches!(carried.end, TunnelEnd::Drained), "{:?}", carried.end);
        assert_eq!((begin.elapsed(), carried.from_client), (DRAIN_TIME, 4));
        drop(rig.endpoint);
    }
}
