//! The last line stored of each instance, so that lines sent again after a crash are not stored twice.

use std::collections::HashMap;

use stdx::clock::Wall;
use stdx::ids::Scope;

use crate::checkpoint::{Input, put_text};

/// Instances that are remembered; beyond it those are forgotten that were silent longest.
const INSTANCES_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Origin {
    origin_seq: u64,
    /// The newest time of its lines. A line with a later one is new whatever its number: the node's state was reset and
    /// an instance's name was given again.
    newest: Wall,
    /// The record's number.
    seq: u64,
}

/// What is known of a line that carries a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OriginLine {
    pub(crate) origin_seq: u64,
    pub(crate) time: Wall,
}

#[derive(Debug, Default)]
pub(crate) struct Origins {
    scopes: HashMap<Scope, HashMap<String, Origin>>,
    count: usize,
    /// The scope of the last record recovered; the next one is mostly of the same.
    recovering: Option<Scope>,
}

impl Origins {
    /// The highest number stored of an instance.
    pub(crate) fn last(&self, scope: &Scope, instance: &str) -> Option<u64> {
        self.scopes.get(scope)?.get(instance).map(|origin| origin.origin_seq)
    }

    /// Says whether the line has been stored before.
    pub(crate) fn has(&self, scope: &Scope, instance: &str, line: OriginLine) -> bool {
        let known = self.scopes.get(scope).and_then(|instances| instances.get(instance));
        known.is_some_and(|known| line.origin_seq <= known.origin_seq && line.time <= known.newest)
    }

    /// Notes that record `seq` is that line of the instance.
    pub(crate) fn note(&mut self, scope: &Scope, instance: &str, line: OriginLine, seq: u64) {
        if let Some(known) = self.scopes.get_mut(scope).and_then(|instances| instances.get_mut(instance)) {
            *known = Origin { origin_seq: line.origin_seq, newest: known.newest.max(line.time), seq };
            return;
        }
        let origin = Origin { origin_seq: line.origin_seq, newest: line.time, seq };
        if self.count >= INSTANCES_MAX {
            self.forget_silent();
        }
        self.scopes.entry(scope.clone()).or_default().insert(instance.to_owned(), origin);
        self.count += 1;
    }

    /// The same with the names as they stand in the log; such as are no names are no instance's.
    pub(crate) fn note_parts(&mut self, app: &str, env: &str, instance: &str, line: OriginLine, seq: u64) {
        if self.recovering.as_ref().is_none_or(|scope| scope.app.as_str() != app || scope.env.as_str() != env) {
            let (Ok(app), Ok(env)) = (app.parse(), env.parse()) else { return };
            self.recovering = Some(Scope { app, env });
        }
        if let Some(scope) = self.recovering.take() {
            self.note(&scope, instance, line, seq);
            self.recovering = Some(scope);
        }
    }

    /// Forgets the instances whose last record is older than `seq`: retention has removed all that is known of them.
    pub(crate) fn forget_below(&mut self, seq: u64) {
        self.scopes.retain(|_, instances| {
            instances.retain(|_, origin| origin.seq >= seq);
            !instances.is_empty()
        });
        self.count = self.scopes.values().map(HashMap::len).sum();
    }

    /// For a checkpoint: how many instances, and of each its names, its line and its record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.count as u32).to_le_bytes());
        for (scope, instances) in &self.scopes {
            for (instance, origin) in instances {
                [scope.app.as_str(), scope.env.as_str(), instance].into_iter().for_each(|text| put_text(out, text));
                for number in [origin.origin_seq, origin.newest.0, origin.seq] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
    }

    /// The same back.
    pub(crate) fn decode(input: &mut Input<'_>) -> Option<Origins> {
        let mut origins = Origins::default();
        for _ in 0..input.u32()? {
            let (app, env, instance) = (input.text()?, input.text()?, input.text()?);
            let line = OriginLine { origin_seq: input.u64()?, time: Wall(input.u64()?) };
            origins.note_parts(app, env, instance, line, input.u64()?);
        }
        Some(origins)
    }

    fn forget_silent(&mut self) {
        let mut seqs: Vec<u64> = self.scopes.values().flat_map(|i| i.values().map(|origin| origin.seq)).collect();
        let tenth = seqs.len() / 10;
        let (_, &mut limit, _) = seqs.select_nth_unstable(tenth);
        self.forget_below(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(origin_seq: u64) -> OriginLine {
        OriginLine { origin_seq, time: Wall(origin_seq * 10) }
    }

    #[test]
    fn a_line_is_known_by_its_number_unless_it_is_newer_than_all_that_are_known() {
        let shop: Scope = "shop".parse().unwrap();
        let mut origins = Origins::default();
        origins.note(&shop, "web.1", line(5), 100);
        assert!(origins.has(&shop, "web.1", line(4)) && origins.has(&shop, "web.1", line(5)));
        assert!(!origins.has(&shop, "web.1", line(6)) && !origins.has(&shop, "web.2", line(5)));
        let of_a_later_run = OriginLine { origin_seq: 1, time: Wall(1000) };
        assert!(!origins.has(&shop, "web.1", of_a_later_run));
        origins.note(&shop, "web.1", of_a_later_run, 101);
        assert_eq!(origins.last(&shop, "web.1"), Some(1));
        assert!(origins.has(&shop, "web.1", of_a_later_run));
    }

    #[test]
    fn the_last_line_of_each_instance_is_known_per_scope() {
        let (shop, blog): (Scope, Scope) = ("shop".parse().unwrap(), "blog/staging".parse().unwrap());
        let mut origins = Origins::default();
        origins.note(&shop, "web.1", line(5), 100);
        origins.note(&shop, "web.1", line(6), 101);
        origins.note(&blog, "web.1", line(1), 102);
        assert_eq!(origins.last(&shop, "web.1"), Some(6));
        assert_eq!(origins.last(&blog, "web.1"), Some(1));
        assert_eq!(origins.last(&shop, "web.2"), None);
        origins.forget_below(102);
        assert_eq!(origins.last(&shop, "web.1"), None);
        assert_eq!(origins.last(&blog, "web.1"), Some(1));
    }

    #[test]
    fn beyond_the_limit_those_silent_longest_are_forgotten() {
        let shop: Scope = "shop".parse().unwrap();
        let mut origins = Origins::default();
        for n in 0..=INSTANCES_MAX as u64 {
            origins.note(&shop, &format!("web.{n}"), line(1), n);
        }
        assert_eq!(origins.last(&shop, "web.0"), None);
        assert_eq!(origins.last(&shop, &format!("web.{INSTANCES_MAX}")), Some(1));
        assert!(origins.count <= INSTANCES_MAX);
    }
}
