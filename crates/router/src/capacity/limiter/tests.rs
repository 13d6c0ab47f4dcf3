//! No seat is lost, none is given twice, and nobody waits beside a free one, whoever leaves when.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};

use super::*;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
use stdx::clock::SystemClock;
use tokio::runtime::Builder;

const FAR: Mono = Mono(u64::MAX / 2);

fn config(in_flight_max: u32, waiting_max: u32) -> LimitConfig {
    LimitConfig { in_flight_max, waiting_max, wait_ms: 3_600_000, ..LimitConfig::default() }
}

fn limiter(config: &LimitConfig) -> Arc<Limiter> {
    let limiter = Arc::new(Limiter::default());
    limiter.configure(config);
    limiter
}

type Entering = Pin<Box<dyn Future<Output = Result<Permit, Shed>>>>;

/// Somebody who wants in.
fn entering(limiter: &Arc<Limiter>, config: &LimitConfig, priority: Priority) -> Entering {
    let (limiter, config, clock) = (Arc::clone(limiter), config.clone(), SystemClock::shared());
    Box::pin(async move { limiter.enter(&config, priority, FAR, &clock).await })
}

fn poll(entering: &mut Entering) -> Poll<Result<Permit, Shed>> {
    entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn inside_a_runtime<T>(test: impl FnOnce() -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    test()
}

#[test]
fn the_best_priority_is_called_first_and_a_full_line_turns_the_last_away() {
    inside_a_runtime(|| {
        let config = config(1, 2);
        let limiter = limiter(&config);
        let Poll::Ready(Ok(first)) = poll(&mut entering(&limiter, &config, 4)) else { panic!() };
        let mut waiting = [4, 4].map(|priority| entering(&limiter, &config, priority));
        assert!(waiting.iter_mut().all(|one| poll(one).is_pending()));
        let mut late = entering(&limiter, &config, 4);
        assert!(matches!(poll(&mut late), Poll::Ready(Err(Shed::Full))));
        let mut urgent = entering(&limiter, &config, 0);
        assert!(poll(&mut urgent).is_pending());
        assert!(matches!(poll(&mut waiting[1]), Poll::Ready(Err(Shed::Displaced))));
        drop(first);
        assert!(poll(&mut waiting[0]).is_pending());
        let Poll::Ready(Ok(second)) = poll(&mut urgent) else { panic!() };
        drop(second);
        assert!(matches!(poll(&mut waiting[0]), Poll::Ready(Ok(_))));
        assert_eq!(limiter.figures(), Figures { in_flight: 0, limit: 1, waiting: 0, shed: 2 });
    });
}

#[test]
fn one_that_was_called_and_leaves_passes_its_turn_on() {
    inside_a_runtime(|| {
        let config = config(1, 9);
        let limiter = limiter(&config);
        let Poll::Ready(Ok(first)) = poll(&mut entering(&limiter, &config, 4)) else { panic!() };
        let mut called = entering(&limiter, &config, 1);
        let mut next = entering(&limiter, &config, 4);
        assert!(poll(&mut called).is_pending() && poll(&mut next).is_pending());
        drop(first);
        let mut newcomer = entering(&limiter, &config, 4);
        assert!(poll(&mut newcomer).is_pending(), "nobody overtakes one who was called");
        assert!(poll(&mut next).is_pending());
        drop(called);
        assert!(matches!(poll(&mut next), Poll::Ready(Ok(_))));
    });
}

#[test]
fn whoever_cannot_be_served_in_time_is_turned_away_at_once() {
    inside_a_runtime(|| {
        let config = config(1, 9);
        let limiter = limiter(&config);
        let clock = SystemClock::shared();
        limiter.observe(&config, clock.mono(), Some(Duration::from_secs(10)));
        let Poll::Ready(Ok(_first)) = poll(&mut entering(&limiter, &config, 4)) else { panic!() };
        let mut patient = entering(&limiter, &config, 4);
        assert!(poll(&mut patient).is_pending());
        let deadline = clock.mono() + Duration::from_secs(15);
        let mut hurried = Box::pin(limiter.enter(&config, 4, deadline, &clock));
        let polled = hurried.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(Shed::Hopeless))), "one is before it, and each takes ten seconds");
        assert_eq!(limiter.retry_after_s(), 10);
    });
}

#[test]
fn a_raised_limit_calls_those_who_wait_and_a_lowered_one_lets_those_under_way_finish() {
    inside_a_runtime(|| {
        let narrow = config(1, 9);
        let limiter = limiter(&narrow);
        let Poll::Ready(Ok(_first)) = poll(&mut entering(&limiter, &narrow, 4)) else { panic!() };
        let mut waiting: Vec<Entering> = (0..3).map(|_| entering(&limiter, &narrow, 4)).collect();
        assert!(waiting.iter_mut().all(|one| poll(one).is_pending()));
        limiter.configure(&config(3, 9));
        let mut inside: Vec<Permit> = Vec::new();
        waiting.retain_mut(|one| match poll(one) {
            Poll::Ready(permit) => {
                inside.push(permit.unwrap());
                false
            }
            Poll::Pending => true,
        });
        assert_eq!((inside.len(), waiting.len()), (2, 1));
        limiter.configure(&narrow);
        drop(inside.pop());
        assert!(poll(&mut waiting[0]).is_pending(), "two are under way where one may be");
    });
}

proptest! {
    #[test]
    fn nobody_waits_beside_a_free_seat_and_none_is_lost_whoever_leaves_when(
        limit in 1_u32..4,
        steps in prop::collection::vec((0_u8..8, any::<u8>(), 0_u8..3), 1..150),
    ) {
        inside_a_runtime(|| {
            let config = config(limit, 6);
            let limiter = limiter(&config);
            let (mut waiting, mut inside) = (Vec::<Entering>::new(), Vec::<Permit>::new());
            for (kind, which, priority) in steps {
                let at = |length: usize| usize::from(which) % length.max(1);
                match kind {
                    0..=2 => waiting.push(entering(&limiter, &config, priority)),
                    3 if !waiting.is_empty() => drop(waiting.swap_remove(at(waiting.len()))),
                    4 | 5 if !inside.is_empty() => drop(inside.swap_remove(at(inside.len()))),
                    // Whoever is called comes when it comes.
                    _ if !waiting.is_empty() => {
                        let at = at(waiting.len());
                        if let Poll::Ready(entered) = poll(&mut waiting[at]) {
                            drop(waiting.swap_remove(at));
                            inside.extend(entered.ok());
                        }
                    }
                    _ => {}
                }
                prop_assert!(inside.len() <= limit as usize);
                prop_assert_eq!(limiter.figures().in_flight as usize, inside.len());
            }
            // Everybody looks whether it is called, until nobody is any more.
            loop {
                let before = waiting.len();
                waiting.retain_mut(|one| match poll(one) {
                    Poll::Ready(entered) => {
                        inside.extend(entered.ok());
                        false
                    }
                    Poll::Pending => true,
                });
                if waiting.len() == before {
                    break;
                }
            }
            prop_assert!(waiting.is_empty() || inside.len() == limit as usize, "{} wait", waiting.len());
            prop_assert_eq!(limiter.figures().waiting as usize, waiting.len());
            drop((waiting, inside));
            prop_assert_eq!(limiter.figures().in_flight + limiter.figures().waiting, 0);
            Ok(())
        })?;
    }
}

/// Threads that enter, leave, and give up while they wait, as fast as they can.
#[test]
fn threads_get_all_the_seats_and_never_one_too_many() {
    const LIMIT: usize = 3;
    let config = config(LIMIT as u32, 10_000);
    let limiter = limiter(&config);
    let (inside, served) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (limiter, config) = (Arc::clone(&limiter), config.clone());
            let (inside, served) = (Arc::clone(&inside), Arc::clone(&served));
            std::thread::spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(tokio::task::LocalSet::new().run_until(async move {
                    let clock = SystemClock::shared();
                    let tasks: Vec<_> = (0..500_u32)
                        .map(|n| {
                            let (limiter, config, clock) = (Arc::clone(&limiter), config.clone(), clock.clone());
                            let (inside, served) = (Arc::clone(&inside), Arc::clone(&served));
                            tokio::task::spawn_local(async move {
                                let entering = limiter.enter(&config, (n % 8) as u8, FAR, &clock);
                                let entered = if n % 3 == thread % 3 {
                                    // Gives up after a few turns of the runtime.
                                    tokio::select! {
                                        biased;
                                        entered = entering => Some(entered),
                                        () = yield_some(n % 7) => None,
                                    }
                                } else {
                                    Some(entering.await)
                                };
                                let Some(entered) = entered else { return };
                                let permit = entered.unwrap();
                                assert!(inside.fetch_add(1, SeqCst) < LIMIT);
                                tokio::task::yield_now().await;
                                inside.fetch_sub(1, SeqCst);
                                served.fetch_add(1, SeqCst);
                                drop(permit);
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                }));
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(served.load(SeqCst) >= 4 * 333);
    assert_eq!(limiter.figures().in_flight + limiter.figures().waiting, 0);
}

async fn yield_some(times: u32) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
