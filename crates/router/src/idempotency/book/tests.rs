//! The book with a turned clock.

use super::*;
use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

const HEAD: Hash = [7; 32];
const LIMITS: Limits = Limits { answers: 3, bytes: 1_000 };

fn key(n: u8) -> Hash {
    [n; 32]
}

fn at(s: u64) -> Wall {
    Wall(0) + Duration::from_secs(s)
}

fn done(until: Wall, bytes: usize) -> Done {
    let fingerprint = Fingerprint { head: HEAD, content: None };
    Done { until, fingerprint, place: Place::Memory(vec![0; bytes].into()) }
}

fn first(book: &mut Book, n: u8, now: Wall) -> u64 {
    match book.claim(key(n), HEAD, now) {
        Claim::Yours(turn) => turn,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_second_waits_and_then_gets_the_first_ones_answer() {
    let mut book = Book::new(LIMITS);
    let turn = first(&mut book, 1, at(0));
    assert!(matches!(book.claim(key(1), HEAD, at(0)), Claim::UnderWay(_)));
    assert!(matches!(book.claim(key(1), [8; 32], at(0)), Claim::Taken));
    book.settle(key(1), turn, done(at(10), 5));
    assert!(matches!(book.claim(key(1), HEAD, at(9)), Claim::Done(answer) if answer == done(at(10), 5)));
    assert!(matches!(book.claim(key(1), HEAD, at(10)), Claim::Yours(_)), "it is over");
}

#[tokio::test]
async fn whoever_waits_is_woken_by_either_end() {
    let mut book = Book::new(LIMITS);
    let turn = first(&mut book, 1, at(0));
    let Claim::UnderWay(waiting) = book.claim(key(1), HEAD, at(0)) else { panic!() };
    book.give_up(key(1), turn);
    waiting.await;
    let next = first(&mut book, 1, at(0));
    // The one before is late with what it has to say.
    book.settle(key(1), turn, done(at(10), 5));
    let Claim::UnderWay(waiting) = book.claim(key(1), HEAD, at(0)) else { panic!() };
    book.settle(key(1), next, done(at(10), 5));
    waiting.await;
}

#[test]
fn the_oldest_go_first_and_their_segments_with_them() {
    let mut book = Book::new(LIMITS);
    for n in 0..5 {
        let at_disk = Position { segment: u64::from(n) + 1, offset: 0, len: 10 };
        book.load(key(n), Done { place: Place::Disk(at_disk), ..done(at(100), 0) });
    }
    assert_eq!(book.tidy(at(0)), Some(3));
    assert!(matches!(book.claim(key(1), HEAD, at(0)), Claim::Yours(_)));
    assert!(matches!(book.claim(key(2), HEAD, at(0)), Claim::Done(_)));
    assert_eq!(book.tidy(at(100)), None);
}

proptest! {
    #[test]
    fn one_turn_per_key_and_never_more_than_the_limits(
        steps in prop::collection::vec((0_u8..6, 0_u8..4, 0_u64..5, 0_usize..600), 1..200),
    ) {
        let mut book = Book::new(LIMITS);
        let mut turns: HashMap<u8, u64> = HashMap::new();
        let mut now = at(0);
        for (n, what, later, size) in steps {
            now = now + Duration::from_secs(later);
            match (what, turns.get(&n).copied()) {
                (0 | 1, held) => match book.claim(key(n), HEAD, now) {
                    Claim::Yours(turn) => {
                        prop_assert_eq!(held, None, "two have one turn");
                        turns.insert(n, turn);
                    }
                    Claim::UnderWay(_) => prop_assert!(held.is_some()),
                    Claim::Done(answer) => prop_assert!(held.is_none() && answer.until > now),
                    Claim::Taken => prop_assert!(false, "all have one head"),
                },
                (2, Some(turn)) => {
                    book.settle(key(n), turn, done(now + Duration::from_secs(10), size));
                    turns.remove(&n);
                }
                (3, Some(turn)) => {
                    book.give_up(key(n), turn);
                    turns.remove(&n);
                }
                _ => {}
            }
            book.tidy(now);
            prop_assert!(book.answers <= LIMITS.answers && book.bytes <= LIMITS.bytes);
            let kept = book.entries.values().filter(|entry| matches!(entry, Entry::Done { .. })).count();
            prop_assert_eq!((book.answers, book.entries.len()), (kept, kept + turns.len()));
        }
    }
}
