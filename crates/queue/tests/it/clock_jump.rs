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

#[test]
fn a_jump_of_the_wall_clock_neither_frees_nor_freezes_what_is_reserved() {
    for jump_ns in [DAY_NS, -DAY_NS] {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock { machine: SystemClock::shared(), ahead_ns: AtomicI64::new(0) });
        let deps = Deps {
            clock: Arc::clone(&clock) as SharedClock,
            tokens: Arc::new(NoTokens),
            sink: Arc::new(NoSink),
            sockets: Default::default(),
        };
        let handle = queue::start(config(), folder.path().join("queue"), deps).unwrap();
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
