//! A wall clock that is set forwards and backwards under a running server: leases and waits do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use queue::{Deps, NoSink, NoTokens};
use stdx::clock::{Clock, Mono, SharedClock, SystemClock, Wall};

use crate::rig::{Client, block_on, config};

const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// The machine's clock, whose wall time somebody sets.
struct SetClock {
    machine: SharedClock,
    ahead_ns: AtomicI64,
}

impl Clock for SetClock {
    fn mono(&self) -> Mono {
        self.machine.mono()
    }

    fn wall(&self) -> Wall {
        Wall(self.machine.wall().0.saturating_add_signed(self.ahead_ns.load(Ordering::SeqCst)))
    }
}

impl SetClock {
    fn new() -> Arc<SetClock> {
        Arc::new(SetClock { machine: SystemClock::shared(), ahead_ns: AtomicI64::new(0) })
    }
}

fn start(folder: &std::path::Path, clock: &Arc<SetClock>) -> queue::Handle {
    let deps = Deps {
        clock: Arc::clone(clock) as SharedClock,
        tokens: Arc::new(NoTokens),
        sink: Arc::new(NoSink),
        sockets: Default::default(),
    };
    queue::start(config(), folder.join("queue"), deps).unwrap()
}

/// `time-left` of a job, in seconds.
fn time_left(client: &mut Client, id: u64) -> u64 {
    let stats = client.ask_all(&format!("stats-job {id}"));
    let line = stats.lines().find_map(|line| line.strip_prefix("time-left: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn a_jump_of_the_wall_clock_neither_frees_nor_freezes_what_is_reserved() {
    for jump_ns in [DAY_NS, -DAY_NS] {
        let folder = tempfile::tempdir().unwrap();
        let clock = SetClock::new();
        let handle = start(folder.path(), &clock);
        let connect = || Client::connect(handle.bound()[0]);
        let (mut holder, mut other) = (connect(), connect());
        let (long, short) = (holder.put("0 0 100", "long"), holder.put("1 0 2", "short"));
        let began = Instant::now();
        assert_eq!(holder.ask_all("reserve"), format!("RESERVED {long} 4\nlong"));
        assert_eq!(holder.ask_all("reserve"), format!("RESERVED {short} 5\nshort"));
        other.say("reserve-with-timeout 30");
        clock.ahead_ns.store(jump_ns, Ordering::SeqCst);
        assert_eq!(other.hear_all(), format!("RESERVED {short} 5\nshort"), "when its time ran out");
        assert!(began.elapsed() >= Duration::from_secs(2), "and not before: {:?}", began.elapsed());
        assert_eq!(other.ask("reserve-with-timeout 0"), "TIMED_OUT", "the long one is not free");
        assert_eq!(holder.ask(&format!("touch {long}")), "TOUCHED");
        assert_eq!(holder.ask(&format!("delete {long}")), "DELETED");
        // What is put after the jump is due by the clock as it now is.
        let delayed = other.put("0 1 60", "delayed");
        assert_eq!(holder.ask_all("reserve-with-timeout 30"), format!("RESERVED {delayed} 7\ndelayed"));
        block_on(handle.stop());
    }
}

#[test]
fn a_jump_of_the_wall_clock_neither_frees_nor_freezes_what_is_delayed_or_paused() {
    for jump_ns in [DAY_NS, -DAY_NS] {
        let folder = tempfile::tempdir().unwrap();
        let clock = SetClock::new();
        let handle = start(folder.path(), &clock);
        let mut client = Client::connect(handle.bound()[0]);
        let began = Instant::now();
        let soon = client.put("0 3 60", "soon");
        let late = client.put("0 3000 60", "late");
        client.ask("use paused");
        let paused = client.put("1 0 60", "paused");
        client.ask("watch paused");
        assert_eq!(client.ask("pause-tube paused 4"), "PAUSED");
        clock.ahead_ns.store(jump_ns, Ordering::SeqCst);
        assert_eq!(client.ask_all("reserve-with-timeout 30"), format!("RESERVED {soon} 4\nsoon"));
        assert!(began.elapsed() >= Duration::from_secs(3), "not before its time: {:?}", began.elapsed());
        assert_eq!(client.ask_all("reserve-with-timeout 30"), format!("RESERVED {paused} 6\npaused"));
        assert!(began.elapsed() >= Duration::from_secs(4), "not before the pause is over: {:?}", began.elapsed());
        let left = time_left(&mut client, late);
        assert!((2_900..3_000).contains(&left), "{left}");
        block_on(handle.stop());

        // A start knows of it, and a second jump, back to where the clock was, is left out as well.
        let handle = start(folder.path(), &clock);
        let mut client = Client::connect(handle.bound()[0]);
        let left = time_left(&mut client, late);
        assert!((2_900..3_000).contains(&left), "{left} after a restart");
        clock.ahead_ns.store(0, Ordering::SeqCst);
        let left = time_left(&mut client, late);
        assert!((2_900..3_000).contains(&left), "{left} after it was set again");
        block_on(handle.stop());
    }
}
