//! The way between a process and the one that takes its place: messages, and descriptors that go with them.
//!
//! A socket pair that keeps messages apart. A descriptor that is sent is open in the other process under a number of its own,
//! and closes when that process executes another program: no number stands in a variable, and nothing is left open by mistake.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Descriptors that one message may carry; the kernel takes 253.
pub const DESCRIPTORS_MAX: usize = 64;
/// Bytes of one message.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// One end of the way.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// A message, with its descriptors.
#[derive(Debug)]
pub struct Message {
    /// What it says.
    pub bytes: Vec<u8>,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Two ends.
    ///
    /// # Errors
    /// What the system says.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel(one), Channel(other)))
    }

    /// The end that somebody else has made.
    pub fn from_end(end: OwnedFd) -> Channel {
        Channel(end)
    }

    /// This end as a descriptor.
    pub fn into_end(self) -> OwnedFd {
        self.0
    }

    /// Sends a message; the descriptors stay open here.
    ///
    /// # Errors
    /// What the system says, or that it is too long.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if bytes.len() > MESSAGE_BYTES_MAX || descriptors.len() > DESCRIPTORS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message has too many descriptors"));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The next message; `None` when the other end is closed. Blocks, at most for `patience`.
    ///
    /// # Errors
    /// What the system says, `TimedOut` when none has come, or that it is too long.
    pub fn receive(&self, patience: Duration) -> io::Result<Option<Message>> {
        let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = match recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            // It was closed before what was sent to it had been read.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            received => received?,
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                descriptors.extend(fds);
            }
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        bytes.truncate(received.bytes);
        Ok(Some(Message { bytes, descriptors }))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn messages_stay_apart_and_bring_their_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        one.send(b"first", &[far.as_fd()]).unwrap();
        one.send(b"second", &[]).unwrap();
        drop(far);
        let first = other.receive(SOON).unwrap().unwrap();
        assert_eq!((first.bytes.as_slice(), first.descriptors.len()), (&b"first"[..], 1));
        let flags = rustix::io::fcntl_getfd(&first.descriptors[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "no other program inherits it");
        near.write_all(b"x").unwrap();
        let mut far = File::from(first.descriptors.into_iter().next().unwrap());
        far.read_exact(&mut [0]).unwrap();
        assert_eq!(other.receive(SOON).unwrap().unwrap().bytes, b"second");
        other.send(b"never read", &[]).unwrap();
        drop(one);
        assert!(other.receive(SOON).unwrap().is_none());
    }

    #[test]
    fn silence_and_excess_are_errors() {
        let (one, other) = Channel::pair().unwrap();
        assert_eq!(one.receive(Duration::ZERO).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(other.send(&vec![0; MESSAGE_BYTES_MAX + 1], &[]).is_err());
        let many: Vec<_> = (0..=DESCRIPTORS_MAX).map(|_| one.as_fd()).collect();
        assert!(other.send(b"x", &many).is_err());
    }
}
