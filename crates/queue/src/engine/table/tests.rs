//! The table beside the map that std has.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wal::Position;

use super::*;
use crate::engine::{Attempt, AttemptEnd, JobState, TubeIx};

fn job(id: u64, pri: u32) -> Job {
    Job {
        id: JobId(id),
        created_ms: 1_800_000_000_000 + id,
        lsn: Lsn(1),
        at: Position { segment: 7, offset: 9, len: 60 },
        body_len: 11,
        pri,
        ttr_s: 60,
        delay_s: 3,
        tube: TubeIx(70_000),
        state: JobState::Ready,
    }
}

proptest! {
    #[test]
    fn it_is_the_map_that_std_has(
        steps in proptest::collection::vec((0..8u8, 0..60_000u64, 0..1000u32), 1..2500),
    ) {
        let (mut jobs, mut map) = (Jobs::default(), BTreeMap::new());
        let mut next = 30_000;
        for (what, id, pri) in steps {
            // Ids up to far beyond what one chunk reaches.
            let id = if what % 2 == 0 { id } else { id * 70_000 };
            match what {
                0..=3 => {
                    next += 1 + u64::from(pri > 990) * 40_000_000;
                    let with = (pri % 3 == 0).then(|| Facts { reserved_lsn: Lsn(next), ..Facts::default() });
                    jobs.insert(&job(next, pri), with.clone());
                    map.insert(next, (pri, with));
                }
                4 | 5 if !map.contains_key(&id) => {
                    jobs.insert(&job(id, pri), None);
                    map.insert(id, (pri, None));
                    next = next.max(id);
                }
                6 => {
                    let id = map.range(id..).next().map_or(id, |(id, _)| *id);
                    let facts = jobs.remove(JobId(id)).map(|(job, facts)| (job.pri, facts));
                    prop_assert_eq!(facts, map.remove(&id).map(|(pri, facts)| (pri, facts.unwrap_or_default())));
                }
                _ => {
                    let id = map.range(..=id).next_back().map_or(id, |(id, _)| *id);
                    prop_assert_eq!(jobs.get(JobId(id)).map(|job| job.pri), map.get(&id).map(|(pri, _)| *pri));
                    if let Some(mut facts) = jobs.facts_mut(JobId(id)) {
                        facts.reserved_lsn = Lsn(3);
                        let known = map.get_mut(&id).unwrap();
                        known.1 = Some(Facts { reserved_lsn: Lsn(3), ..Facts::default() });
                    }
                }
            }
            prop_assert_eq!(jobs.len(), map.len());
        }
        for (&id, (pri, facts)) in &map {
            prop_assert_eq!(jobs.get(JobId(id)), Some(job(id, *pri)));
            prop_assert_eq!(jobs.facts(JobId(id)), facts.as_ref());
        }
        let all = jobs.share();
        prop_assert!(all.iter().flat_map(|chunk| chunk.jobs(Lsn(1))).map(|(job, _)| job.id.0).eq(map.keys().copied()));
    }
}

#[test]
fn what_is_shared_stays_as_it_was() {
    let mut jobs = Jobs::default();
    for id in 1..=2000 {
        jobs.insert(&job(id, 1), None);
    }
    let before = jobs.share();
    for id in 1..=2000 {
        jobs.update(JobId(id), |job| job.pri = 2);
    }
    jobs.remove(JobId(5));
    let seen: Vec<u32> = before.iter().flat_map(|chunk| chunk.jobs(Lsn(1))).map(|(job, _)| job.pri).collect();
    assert_eq!(seen, vec![1; 2000]);
    assert_eq!(jobs.get(JobId(7)).map(|job| job.pri), Some(2));
}

#[test]
fn survivors_far_apart_are_kept_together() {
    let mut jobs = Jobs::default();
    for id in 1..=200_000 {
        jobs.insert(&job(id, 1), None);
    }
    for id in (1..=200_000).filter(|id| id % 1000 != 0) {
        jobs.remove(JobId(id));
    }
    assert_eq!(jobs.len(), 200);
    assert!(jobs.chunks.len() <= 3, "{} chunks", jobs.chunks.len());
}

#[test]
fn terms_that_change_again_and_again_are_each_job_s_own_and_do_not_pile_up() {
    let mut jobs = Jobs::default();
    let mut map = BTreeMap::new();
    for id in 1..=1_500 {
        jobs.insert(&job(id, 1), None);
        map.insert(id, 1);
    }
    let mut rng = stdx::rng::Rng::with_seed(7);
    for _ in 0..20_000 {
        let (id, pri) = (rng.u64(1..=1_500), rng.u32(..));
        jobs.update(JobId(id), |job| job.pri = pri);
        map.insert(id, pri);
    }
    for (&id, &pri) in &map {
        assert_eq!(jobs.get(JobId(id)).map(|job| job.pri), Some(pri));
    }
    // Neighbours become one chunk: what they had stays theirs.
    for id in (1..=1_500).filter(|id| id % 20 != 0) {
        jobs.remove(JobId(id));
        map.remove(&id);
    }
    let left: Vec<(u64, u32)> = map.into_iter().collect();
    let found: Vec<(u64, u32)> = left.iter().map(|&(id, _)| (id, jobs.get(JobId(id)).unwrap().pri)).collect();
    assert_eq!(found, left);
    let written: usize = jobs.chunks.iter().map(|chunk| chunk.terms.len()).sum();
    assert_eq!(jobs.terms, written);
    assert!(written <= 1_024 * jobs.chunks.len(), "{written}");
}

#[test]
fn what_facts_hold_is_counted_and_given_back() {
    let mut jobs = Jobs::default();
    for id in 1..=100 {
        jobs.insert(&job(id, 1), None);
    }
    let bare = jobs.bytes();
    for id in 1..=100 {
        let mut facts = jobs.facts_mut(JobId(id)).unwrap();
        for at_ms in 0..20 {
            let attempt =
                Attempt { at_ms, end: AttemptEnd::Failed, reason: "r".repeat(200).into(), worker: "w".into() };
            facts.more.get_or_insert_default().note(attempt);
        }
    }
    // Eight attempts of each are kept.
    assert!(jobs.bytes() - bare > 100 * 8 * 200, "{}", jobs.bytes() - bare);
    for id in 1..=100 {
        jobs.facts_mut(JobId(id)).unwrap().more = None;
    }
    assert_eq!(jobs.beside, 0);
    for id in 1..=100 {
        jobs.remove(JobId(id));
    }
    assert_eq!((jobs.beside, jobs.facts), (0, 0));
}
