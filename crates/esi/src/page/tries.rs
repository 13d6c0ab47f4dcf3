//! `try`: what stands in when a fragment fails.

use std::collections::VecDeque;

use super::{Page, Part, State};
use crate::parser::bytes;

enum Readiness {
    Ready,
    Waiting,
    Failed,
}

impl Page {
    /// Decides the `try` elements that can be decided.
    pub(super) fn settle(&mut self, now: u64) {
        let mut parts = std::mem::take(&mut self.parts);
        self.settle_in(&mut parts, now);
        self.parts = parts;
        let mut at = 0;
        while at < self.fragments.len() {
            if let State::Body(body) = &mut self.fragments[at].state {
                let mut parts = std::mem::take(body);
                self.settle_in(&mut parts, now);
                self.fragments[at].state = State::Body(parts);
            }
            at += 1;
        }
    }

    fn settle_in(&mut self, parts: &mut VecDeque<Part>, now: u64) {
        for part in parts.iter_mut() {
            match part {
                Part::Text(_) | Part::Fragment(_) => {}
                Part::Group(group) => self.settle_in(group, now),
                Part::Try { attempt, except, parent, depth } => {
                    self.settle_in(attempt, now);
                    match self.readiness(attempt) {
                        Readiness::Waiting => {}
                        Readiness::Ready => {
                            let attempt = std::mem::take(attempt);
                            self.release(bytes(except));
                            *part = Part::Group(attempt);
                        }
                        Readiness::Failed => {
                            let (attempt, except) = (std::mem::take(attempt), std::mem::take(except));
                            let (parent, depth) = (*parent, *depth);
                            self.abandon(attempt);
                            self.release(bytes(&except));
                            let mut group = self.plan(except, parent, depth, now);
                            // Nothing else may ever happen to what of it can be decided at once.
                            self.settle_in(&mut group, now);
                            *part = Part::Group(group);
                        }
                    }
                }
            }
        }
    }

    fn readiness(&self, parts: &VecDeque<Part>) -> Readiness {
        let mut waits = false;
        for part in parts {
            let one = match part {
                Part::Text(_) => Readiness::Ready,
                Part::Fragment(id) => match self.fragments[id.0].state {
                    State::Pending => Readiness::Waiting,
                    State::Failed => Readiness::Failed,
                    State::Body(_) | State::Empty => Readiness::Ready,
                },
                Part::Group(group) => self.readiness(group),
                Part::Try { .. } => Readiness::Waiting,
            };
            match one {
                Readiness::Ready => {}
                Readiness::Waiting => waits = true,
                Readiness::Failed => return Readiness::Failed,
            }
        }
        if waits { Readiness::Waiting } else { Readiness::Ready }
    }

    /// What an attempt that failed consists of holds up nothing any more, and is not waited for.
    fn abandon(&mut self, parts: VecDeque<Part>) {
        for part in parts {
            match part {
                Part::Text(text) => self.release(text.len()),
                Part::Fragment(id) => {
                    self.forget_stale(id);
                    if let State::Body(body) = std::mem::replace(&mut self.fragments[id.0].state, State::Empty) {
                        self.abandon(body);
                    }
                }
                Part::Group(group) => self.abandon(group),
                Part::Try { attempt, except, .. } => {
                    self.release(bytes(&except));
                    self.abandon(attempt);
                }
            }
        }
    }
}
