//! Which records, in which order, and how many at once.

use control::error::{ApiError, Kind};
use logs::config::Config;
use logs::{Filter, Query, QueryError, Record};
use proptest::prelude::*;
use stdx::clock::Wall;
use stdx::trace::TraceId;
use testkit::FakeDisk;

use crate::rig::{all, config, find, messages, open, put, stop, text, wait};

#[test]
fn records_come_in_the_order_of_time_then_of_arrival() {
    let logs = open(&FakeDisk::new(1), config());
    put(&logs, vec![text(30, "c"), text(10, "a1"), text(20, "b"), text(10, "a2")]).unwrap();
    assert_eq!(messages(&logs, ""), ["a1", "a2", "b", "c"]);
}

#[test]
fn since_is_included_and_until_is_not() {
    let logs = open(&FakeDisk::new(1), config());
    put(&logs, (1..=9).map(|time| text(time, time.to_string())).collect()).unwrap();
    let query = Query { since: Some(Wall(3)), until: Some(Wall(6)), ..Query::default() };
    let found: Vec<_> = find(&logs, query).into_iter().map(|row| row.message).collect();
    assert_eq!(found, ["3", "4", "5"]);
}

#[test]
fn a_trace_is_all_that_has_it_in_order() {
    let logs = open(&FakeDisk::new(1), config());
    let trace = TraceId::from_bytes([5; 16]);
    let with = |record: Record| Record { trace, ..record };
    put(&logs, vec![with(text(9, "job")), text(2, "other"), with(text(1, "request"))]).unwrap();
    let rows = wait(logs.trace(trace.unwrap())).unwrap();
    assert_eq!(rows.iter().map(|row| row.message.as_str()).collect::<Vec<_>>(), ["request", "job"]);
    assert_eq!(wait(logs.trace(TraceId::from_bytes([6; 16]).unwrap())).unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// A model: all records in memory, sorted and filtered.
    #[test]
    fn any_query_finds_what_a_sorted_list_finds(
        times in proptest::collection::vec(0u64..5000, 1..3000),
        since in 0u64..5000,
        length in 0u64..5000,
        n in proptest::option::of(0u32..500),
        restart in any::<bool>(),
        word in 0u64..4,
    ) {
        let disk = FakeDisk::new(1);
        let config = Config { segment_bytes_max: 16 << 10, ..config() };
        let mut logs = open(&disk, config.clone());
        let record = |(i, time): (usize, &u64)| text(*time, format!("word{} of {i}", i % 4));
        for handful in times.iter().enumerate().collect::<Vec<_>>().chunks(700) {
            put(&logs, handful.iter().copied().map(record).collect()).unwrap();
        }
        if restart {
            stop(&logs);
            logs = open(&disk, config);
        }
        let mut expected: Vec<(u64, u64)> = times.iter().enumerate()
            .filter(|(i, time)| (since..since + length).contains(*time) && *i as u64 % 4 == word)
            .map(|(i, time)| (*time, i as u64 + 1))
            .collect();
        expected.sort_unstable();
        let skip = expected.len().saturating_sub(n.unwrap_or(u32::MAX) as usize);
        let filter = Filter::parse(&format!("word{word}")).unwrap();
        let query = Query { since: Some(Wall(since)), until: Some(Wall(since + length)), filter, n, follow: false };
        let found: Vec<_> = find(&logs, query).into_iter().map(|row| (row.time_ns, row.seq)).collect();
        prop_assert_eq!(&found[..], &expected[skip..]);
    }
}

#[test]
fn beyond_the_limit_a_query_is_refused_and_one_that_ends_makes_room() {
    let logs = open(&FakeDisk::new(1), Config { queries_max: 1, tails_max: 1, ..config() });
    // More than waits between a scan and its reader.
    put(&logs, (1..=1000).map(|time| text(time, "x")).collect()).unwrap();
    let mut first = logs.query(Query::default()).unwrap();
    let refused = logs.query(Query::default()).unwrap_err();
    assert!(matches!(refused, QueryError::TooManyQueries { max: 1 }));
    let error = ApiError::from(refused);
    assert_eq!((error.kind, error.code.as_str()), (Kind::Policy, "too_many_queries"));
    assert_eq!(wait(first.next()).unwrap().unwrap().seq, 1);
    drop(first);
    while logs.stats().queries > 0 {
        std::thread::yield_now();
    }
    assert_eq!(all(&logs).len(), 1000);

    let follow = || logs.query(Query { follow: true, n: Some(0), ..Query::default() });
    let tail = follow().unwrap();
    assert!(matches!(follow().unwrap_err(), QueryError::TooManyTails { max: 1 }));
    drop(tail);
    while logs.stats().queries > 0 {
        std::thread::yield_now();
    }
    follow().unwrap();
}

#[test]
fn a_query_whose_reader_takes_nothing_makes_room_for_the_next() {
    let clock = testkit::FakeClock::new();
    let config = Config { queries_max: 1, ..config() };
    let logs = logs::start_on(FakeDisk::new(1), config, crate::rig::folder(), clock.shared()).unwrap();
    put(&logs, (1..=2000).map(|time| text(time, "x")).collect()).unwrap();
    let mut slow = logs.query(Query::default()).unwrap();
    assert_eq!(wait(slow.next()).unwrap().unwrap().seq, 1);
    // The scan may still be on its way to where it must wait.
    let second = loop {
        clock.advance(std::time::Duration::from_secs(11));
        match logs.query(Query::default()) {
            Ok(rows) => break rows,
            Err(QueryError::TooManyQueries { .. }) => std::thread::yield_now(),
            Err(e) => panic!("{e}"),
        }
    };
    assert_eq!(wait(second.collect()).unwrap().len(), 2000);
    let end = wait(async {
        loop {
            match slow.next().await.unwrap() {
                Ok(_) => {}
                Err(e) => break e,
            }
        }
    });
    assert!(matches!(end, QueryError::Stalled { .. }));
}
