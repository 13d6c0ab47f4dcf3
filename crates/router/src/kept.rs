//! A request's content, kept while it streams, so that another try can send it again from the beginning.
//!
//! Nothing waits for it: the first try reads the client, and what it reads is kept on the way — in memory up to a limit,
//! then in a file without a name up to another; beyond that, or when the node's room is used up, it is forgotten and the
//! request is not repeated. A later try gets what is kept and then reads on where the one before it stopped.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::body::{ContentFault, Stream};
use crate::room::{Lease, Place, Room};

/// Bytes that are read from the disk at once.
const READ_BYTES: u64 = 64 << 10;

/// How much of one request's content is kept, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeepLimits {
    pub(crate) memory: u64,
    pub(crate) disk: u64,
}

/// Content that tries of one request share.
#[derive(Clone, Debug)]
pub(crate) struct Kept(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    live: Box<Stream>,
    /// The only one that may read `live`: who is older was given up.
    reader: u32,
    length: Option<u64>,
    pieces: Vec<Bytes>,
    file: Option<Arc<File>>,
    lease: Lease,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Not all of it is kept.
    lost: bool,
    /// What is being written and goes on to the endpoint then.
    writing: Option<(Bytes, JoinHandle<io::Result<Arc<File>>>)>,
}

/// One try's reading of kept content, from the beginning.
#[derive(Debug)]
pub(crate) struct Replay {
    kept: Kept,
    reader: u32,
    piece: usize,
    on_disk: u64,
    /// Bytes given so far.
    given: u64,
    trailers_given: bool,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Kept {
    pub(crate) fn new(live: Box<Stream>, limits: KeepLimits, room: &Arc<Room>) -> Kept {
        let length = live.length();
        Kept(Rc::new(RefCell::new(Inner {
            live,
            reader: 0,
            length,
            pieces: Vec::new(),
            file: None,
            lease: Lease::new(limits, Arc::clone(room)),
            trailers: None,
            ended: false,
            lost: false,
            writing: None,
        })))
    }

    /// Whether it can be sent again from the beginning, as far as is known now.
    pub(crate) fn is_kept(&self) -> bool {
        !self.0.borrow().lost
    }

    /// Whether all of it is there: then several may read it at once.
    pub(crate) fn is_whole(&self) -> bool {
        let inner = self.0.borrow();
        inner.ended && !inner.lost
    }

    /// The content for a new try. Who reads the client now is no longer believed to.
    pub(crate) fn replay(&self) -> Replay {
        let mut inner = self.0.borrow_mut();
        inner.reader += 1;
        Replay {
            kept: self.clone(),
            reader: inner.reader,
            piece: 0,
            on_disk: 0,
            given: 0,
            trailers_given: false,
            reading: None,
        }
    }
}

impl Inner {
    /// The next piece from the client; it is kept before it is given.
    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentFault>>> {
        loop {
            if let Some((data, writing)) = &mut self.writing {
                let written = ready!(Pin::new(writing).poll(cx));
                let data = std::mem::take(data);
                self.writing = None;
                self.written(data.len() as u64, written.map_err(io::Error::other).flatten());
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let Some(frame) = ready!(self.live.poll(cx)).transpose()? else {
                self.ended = true;
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => {
                    self.ended = self.live.is_end_stream();
                    if self.lost || !self.keep(&data) {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Err(frame) => {
                    self.ended = true;
                    self.trailers = frame.trailers_ref().cloned();
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
        }
    }

    /// Keeps a piece; true when it is on its way to the disk first.
    fn keep(&mut self, data: &Bytes) -> bool {
        match self.lease.place(data.len() as u64) {
            Place::Memory => self.pieces.push(data.clone()),
            Place::Nowhere => self.forget(),
            Place::Disk { at } => {
                let (file, room, piece) = (self.file.take(), Arc::clone(self.lease.room()), data.clone());
                let write = spawn_blocking(move || {
                    let file = file.map_or_else(|| room.file().map(Arc::new), Ok)?;
                    file.write_all_at(&piece, at)?;
                    Ok(file)
                });
                self.writing = Some((data.clone(), write));
                return true;
            }
        }
        false
    }

    fn written(&mut self, bytes: u64, outcome: io::Result<Arc<File>>) {
        match outcome {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                tracing::warn!(%error, bytes, "content of a request cannot be kept on disk: it is not repeated");
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        self.lost = true;
        self.pieces = Vec::new();
        self.file = None;
        self.lease.give_back();
    }
}

impl Replay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentFault>>> {
        if let Some(reading) = &mut self.reading {
            let read = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).flatten();
            self.reading = None;
            let Ok(data) = read else { return Poll::Ready(Some(Err(ContentFault::Unkept))) };
            self.on_disk += data.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let kept = self.kept.clone();
        let mut inner = kept.0.borrow_mut();
        if !inner.lost {
            if let Some(piece) = inner.pieces.get(self.piece) {
                self.piece += 1;
                return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
            }
            if let Some(file) = inner.file.as_ref().filter(|_| self.on_disk < inner.lease.on_disk()) {
                let (file, at) = (Arc::clone(file), self.on_disk);
                let bytes = READ_BYTES.min(inner.lease.on_disk() - at);
                self.reading = Some(spawn_blocking(move || read(&file, at, bytes)));
                drop(inner);
                return self.poll(cx);
            }
            if inner.ended && inner.writing.is_none() {
                let trailers = inner.trailers.clone().filter(|_| !std::mem::replace(&mut self.trailers_given, true));
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
        }
        if inner.reader != self.reader {
            return Poll::Ready(Some(Err(ContentFault::Unkept)));
        }
        let frame = ready!(inner.poll_live(cx));
        // What comes from the client has been kept by now, and is not to be given again.
        self.piece = inner.pieces.len();
        self.on_disk = inner.lease.on_disk();
        self.trailers_given = inner.trailers.is_some();
        Poll::Ready(frame)
    }
}

fn read(file: &File, at: u64, bytes: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer.into())
}

impl Body for Replay {
    type Data = Bytes;
    type Error = ContentFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentFault>>> {
        let this = self.get_mut();
        let polled = this.poll(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.given += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.kept.0.borrow();
        let whole = inner.ended && inner.writing.is_none() && inner.trailers.is_none() && self.reading.is_none();
        let given = inner.lost || (self.piece == inner.pieces.len() && self.on_disk == inner.lease.on_disk());
        whole && given
    }

    fn size_hint(&self) -> SizeHint {
        match self.kept.0.borrow().length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.given)),
            None => SizeHint::default(),
        }
    }
}
