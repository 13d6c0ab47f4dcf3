//! What an old and a new process say to each other. A word that one of them does not know is passed over, so that it may be
//! of a later version.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use control::error::ApiError;
use net::handover::{Channel, DESCRIPTORS_MAX, Message};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// Names the kind of handing over, and the process that it is meant for, as far as that is known beforehand.
pub(super) const VARIABLE: &str = "FOREBAY_HANDOVER";

/// How a process takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As its child, beside it.
    Overlap,
    /// As the same process: another program is executed.
    InPlace,
    /// Not at all: as its child it says whether it could.
    Check,
}

impl Kind {
    /// What the variable says, where `of` is the process that hands over.
    pub(super) fn variable(self, of: Pid) -> String {
        let word = match self {
            Kind::Overlap => "overlap",
            Kind::InPlace => "in-place",
            Kind::Check => "check",
        };
        format!("{word} {}", of.as_raw_nonzero())
    }
}

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// A listening socket, and what it is for.
    Listener(String),
    /// The lock of a folder in the data folder.
    Lock(String),
    /// From a later version; it is closed.
    #[serde(untagged)]
    Other(serde_json::Value),
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub(super) enum Word {
    /// The old process: these are yours. The descriptors are in the same order.
    Take {
        /// What they are.
        parts: Vec<Part>,
        /// These were not all.
        more: bool,
    },
    /// The new process: what can be checked beforehand is in order.
    Prepared {
        /// Its version.
        version: String,
    },
    /// The old process: I write no more to what both of us have. Read it, and serve.
    Sealed,
    /// The new process: I serve.
    Ready,
    /// The new process: I cannot.
    Failed {
        /// Why.
        error: ApiError,
    },
    /// The old process: I take no more connections, and you are the service.
    Yours,
    /// The old process: no request with an idempotency key is under way here any more.
    Settled,
    /// From a later version.
    #[serde(other)]
    Unknown,
}

/// Sends a word.
pub(super) fn say(channel: &Channel, word: &Word) -> io::Result<()> {
    channel.send(&serde_json::to_vec(word)?, &[])
}

/// Sends all parts.
pub(super) fn give(channel: &Channel, parts: &[(Part, OwnedFd)]) -> io::Result<()> {
    let mut rest = parts;
    loop {
        let (now, later) = rest.split_at(rest.len().min(DESCRIPTORS_MAX));
        let names = now.iter().map(|(part, _)| part.clone()).collect();
        let word = Word::Take { parts: names, more: !later.is_empty() };
        let descriptors: Vec<_> = now.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
        channel.send(&serde_json::to_vec(&word)?, &descriptors)?;
        if later.is_empty() {
            return Ok(());
        }
        rest = later;
    }
}

/// The next word that is understood, with what came with it; `None` when the other process is gone. Blocks.
pub(super) fn hear(channel: &Channel, patience: Duration) -> io::Result<Option<(Word, Vec<OwnedFd>)>> {
    loop {
        let Some(Message { bytes, descriptors }) = channel.receive(patience)? else { return Ok(None) };
        match serde_json::from_slice(&bytes)? {
            Word::Unknown => {}
            word => return Ok(Some((word, descriptors))),
        }
    }
}

/// Receives all parts.
pub(super) fn take(channel: &Channel, patience: Duration) -> io::Result<Vec<(Part, OwnedFd)>> {
    let mut all = Vec::new();
    loop {
        match hear(channel, patience)? {
            Some((Word::Take { parts, more }, descriptors)) if parts.len() == descriptors.len() => {
                all.extend(parts.into_iter().zip(descriptors));
                if !more {
                    return Ok(all);
                }
            }
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the process before did not hand over")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn more_parts_than_one_message_takes_arrive_in_order() {
        let (old, new) = Channel::pair().unwrap();
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let parts: Vec<_> = (0..DESCRIPTORS_MAX * 2 + 5).map(|n| (Part::Listener(n.to_string()), null())).collect();
        give(&old, &parts).unwrap();
        let taken = take(&new, SOON).unwrap();
        assert!(taken.iter().map(|(part, _)| part).eq(parts.iter().map(|(part, _)| part)));
    }

    #[test]
    fn words_and_parts_of_a_later_version_are_passed_over() {
        let (old, new) = Channel::pair().unwrap();
        old.send(br#"{"word":"a_word_to_come","with":1}"#, &[]).unwrap();
        say(&old, &Word::Ready).unwrap();
        assert_eq!(hear(&new, SOON).unwrap().unwrap().0, Word::Ready);
        let null = std::fs::File::open("/dev/null").unwrap();
        old.send(br#"{"word":"take","parts":[{"a_part_to_come":1}],"more":false}"#, &[null.as_fd()]).unwrap();
        assert!(matches!(take(&new, SOON).unwrap()[0].0, Part::Other(_)));
        drop(old);
        assert!(hear(&new, SOON).unwrap().is_none());
    }
}
