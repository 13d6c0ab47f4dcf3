//! The connection to one init: greeting, then one task that reads and writes.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::instance::{Control, Event, Instance};
use crate::protocol::{
    Decoder, FRAME_BYTES_MAX_FROM_INIT, FromInit, FromNode, InitHello, LinkError, NodeHello, Refusal, RefusalCode,
    VERSION, VERSION_MIN, Welcome, common_version,
};

/// Time for an init to answer; it does nothing else meanwhile, but the machine may be busy.
const ANSWER: Duration = Duration::from_secs(10);
/// Batches of output that wait for the reader of the events.
const EVENTS_MAX: usize = 8;
/// Bytes that are read at once, which bounds a batch.
const CHUNK_BYTES: usize = 32 << 10;

/// Connects to the init behind `socket`, checks that it is `init_pid` where that is known, and starts the task.
pub(super) async fn connect(socket: &Path, init_pid: Option<u32>) -> Result<Instance, LinkError> {
    let greeted = tokio::time::timeout(ANSWER, greet(socket, init_pid)).await;
    let (stream, decoder, hello) = greeted.map_err(|_| LinkError::Silent { ms: ANSWER.as_millis() as u64 })??;
    let (told, events) = mpsc::channel(EVENTS_MAX);
    let control = Control::default();
    let link = tokio::spawn(run(stream, decoder, control.clone(), told));
    Ok(Instance { ticket: hello.ticket, notes: hello.notes, events, control, link })
}

async fn greet(socket: &Path, init_pid: Option<u32>) -> Result<(UnixStream, Decoder, InitHello), LinkError> {
    let mut stream = UnixStream::connect(socket).await?;
    let found = stream.peer_cred()?.pid();
    if let Some(expected) = init_pid.filter(|pid| found.map(i32::unsigned_abs) != Some(*pid)) {
        return Err(LinkError::Stranger { expected, found });
    }
    let mut hello = vec![];
    FromNode::Hello(NodeHello::ours()).write(&mut hello);
    stream.write_all(&hello).await?;
    let mut decoder = Decoder::new(FRAME_BYTES_MAX_FROM_INIT);
    let hello = loop {
        match next(&mut stream, &mut decoder).await? {
            FromInit::Hello(hello) => break hello,
            FromInit::Refused(refusal) => return Err(refused(refusal)),
            FromInit::Unknown => {}
            other => return Err(LinkError::Garbage { what: format!("{other:?} before a hello") }),
        }
    };
    if common_version(hello.version, hello.version_min).is_none() {
        return Err(LinkError::Version { theirs: hello.version, theirs_min: hello.version_min });
    }
    loop {
        match next(&mut stream, &mut decoder).await? {
            FromInit::Welcome(Welcome { version }) if (VERSION_MIN..=VERSION).contains(&version) => {
                return Ok((stream, decoder, hello));
            }
            FromInit::Refused(refusal) => return Err(refused(refusal)),
            FromInit::Unknown => {}
            other => return Err(LinkError::Garbage { what: format!("{other:?} before a welcome") }),
        }
    }
}

async fn next(stream: &mut UnixStream, decoder: &mut Decoder) -> Result<FromInit, LinkError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if let Some((kind, body)) = decoder.next()? {
            return FromInit::decode(kind, body);
        }
        match stream.read(&mut chunk).await? {
            0 => return Err(LinkError::Closed { text: "before its hello".into() }),
            n => decoder.push(&chunk[..n]),
        }
    }
}

fn refused(Refusal { code, text }: Refusal) -> LinkError {
    match code {
        RefusalCode::Busy => LinkError::Busy { text },
        RefusalCode::Version | RefusalCode::Garbage | RefusalCode::Other => LinkError::Closed { text },
    }
}

/// Reads and writes until one side has had enough.
async fn run(stream: UnixStream, decoder: Decoder, control: Control, events: mpsc::Sender<Event>) {
    let (read, write) = stream.into_split();
    let told = tokio::select! {
        told = hear(read, decoder, &events) => told,
        error = tell(write, &control) => Err(error.into()),
    };
    match told {
        Ok(Heard::Exit | Heard::NobodyListens) => {}
        Ok(Heard::HungUp) => lost(&events).await,
        Err(error) => {
            tracing::warn!(%error, "the connection to an instance broke");
            lost(&events).await;
        }
    }
}

async fn lost(events: &mpsc::Sender<Event>) {
    if events.send(Event::Lost).await.is_err() {
        tracing::debug!("nobody listens any more");
    }
}

/// Why reading ended.
enum Heard {
    /// After the exit.
    Exit,
    /// Before it.
    HungUp,
    /// The events' receiver is gone.
    NobodyListens,
}

async fn hear(mut read: OwnedReadHalf, mut decoder: Decoder, events: &mpsc::Sender<Event>) -> Result<Heard, LinkError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut exited = false;
    loop {
        let mut output = vec![];
        let mut exit = None;
        while let Some((kind, body)) = decoder.next()? {
            match FromInit::decode(kind, body)? {
                FromInit::Output(one) => output.push(one),
                FromInit::Exited(one) => exit = Some(one),
                FromInit::Refused(refusal) => return Err(refused(refusal)),
                FromInit::Hello(_) | FromInit::Welcome(_) | FromInit::Unknown => {}
            }
        }
        exited |= exit.is_some();
        let batch = (!output.is_empty()).then_some(Event::Output(output));
        for event in batch.into_iter().chain(exit.map(Event::Exited)) {
            if events.send(event).await.is_err() {
                return Ok(Heard::NobodyListens);
            }
        }
        let read = tokio::select! {
            read = read.read(&mut chunk) => read,
            () = events.closed() => return Ok(Heard::NobodyListens),
        };
        match read {
            Ok(n) if n > 0 => decoder.push(&chunk[..n]),
            _ if exited => return Ok(Heard::Exit),
            Ok(_) => return Ok(Heard::HungUp),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns only when the connection is broken.
async fn tell(mut write: OwnedWriteHalf, control: &Control) -> std::io::Error {
    loop {
        let frames = control.next().await;
        if let Err(error) = write.write_all(&frames).await {
            return error;
        }
    }
}
