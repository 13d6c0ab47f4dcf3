//! A client of the simulated queue.

use super::memory::{Class, Sent};
use crate::engine::ClientId;
use crate::serve::session::{Entry, Session};

pub(super) const TUBES: [(&str, Class); 4] =
    [("default", Class::Disk), ("soon", Class::Soon), ("brief", Class::Memory), (TRIES, Class::Disk)];

/// The tube whose jobs have few attempts, and the one into which they die.
pub(super) const TRIES: &str = "tries";
pub(super) const DEAD: &str = "dead";

/// One of these by name.
pub(super) fn tube_named(name: &str) -> Option<&'static str> {
    TUBES.iter().map(|(tube, _)| *tube).chain([DEAD]).find(|tube| *tube == name)
}

/// A client and what it waits for.
pub(super) struct SimClient {
    pub(super) session: Session,
    pub(super) sent: Option<Sent>,
    pub(super) heard: Vec<u8>,
    /// Answers to come that nobody listens to.
    greetings: usize,
}

impl SimClient {
    /// Each client puts into one tube and takes from all.
    pub(super) fn new(id: ClientId, who: usize) -> SimClient {
        let mut session = Session::new(id, Entry::Open);
        session.input.push(format!("use {}\r\n", TUBES[who % TUBES.len()].0).as_bytes());
        for name in TUBES.map(|(name, _)| name).into_iter().chain([DEAD]) {
            session.input.push(format!("watch {name}\r\n").as_bytes());
        }
        SimClient { session, sent: None, heard: Vec::new(), greetings: 2 + TUBES.len() }
    }

    /// The next whole answer: its line, and its body if it has one.
    pub(super) fn next_answer(&mut self) -> Option<(String, Option<String>)> {
        let end = self.heard.windows(2).position(|two| two == b"\r\n")?;
        if self.greetings > 0 {
            self.greetings -= 1;
            self.heard.drain(..end + 2);
            return self.next_answer();
        }
        let head = String::from_utf8(self.heard[..end].to_vec()).unwrap();
        let body = head.strip_prefix("RESERVED ").or(head.strip_prefix("FOUND ")).map(|rest| {
            let len: usize = rest.split(' ').nth(1).unwrap().parse().unwrap();
            String::from_utf8(self.heard[end + 2..end + 2 + len].to_vec()).unwrap()
        });
        let used = end + 2 + body.as_ref().map_or(0, |body| body.len() + 2);
        self.heard.drain(..used);
        Some((head, body))
    }
}
