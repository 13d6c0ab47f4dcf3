//! `try`: what stands in when a fragment fails.

use std::collections::VecDeque;

use super::{Page, Part, State};

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
                        Readiness::Ready => *part = Part::Group(std::mem::take(attempt)),
                        Readiness::Failed => {
                            self.abandon(attempt);
                            let (except, parent, depth) = (std::mem::take(except), *parent, *depth);
                            *part = Part::Group(self.plan(except, parent, depth, now));
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

    /// The fragments of an attempt that failed hold up nothing any more.
    fn abandon(&mut self, parts: &VecDeque<Part>) {
        for part in parts {
            match part {
                Part::Text(text) => self.held = self.held.saturating_sub(text.len()),
                Part::Fragment(id) => self.fragments[id.0].state = State::Empty,
                Part::Group(group) => self.abandon(group),
                Part::Try { attempt, .. } => self.abandon(attempt),
            }
        }
    }
}
