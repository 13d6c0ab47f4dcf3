//! What becomes of orders when the authority says that there were too many.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use acme::Desk;
use testkit::FakeClock;

use crate::rig::{Hosts, authority, run, until};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_limit_holds_for_all_hosts_for_as_long_as_the_authority_asks() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (config, heard) = authority(folder.path(), None).await;
        let (clock, desk) = (FakeClock::new(), Arc::new(Desk::new().unwrap()));
        let ask = |desk: &Arc<Desk>| {
            let hosts = Hosts(&["a.example", "b.example", "c.example"]);
            acme::run(config.clone(), folder.path(), Arc::clone(desk), hosts, clock.shared()).unwrap()
        };
        let running = ask(&desk);
        let failures = |desk: &Desk| desk.rows().iter().map(|row| row.failures).sum::<u32>();
        until("one host is refused", || failures(&desk) == 1).await;
        let until_ms = clock.shared().wall().millis() + 2 * 3_600_000;
        assert!(desk.rows().iter().all(|row| row.next_ms == Some(until_ms)), "{:?}", desk.rows());
        let told = desk.rows()[0].last_error.clone().unwrap();
        assert!(told.contains("429"), "{told}");
        drop(running);
        // A restart does not forget it.
        let desk = Arc::new(Desk::new().unwrap());
        let _running = ask(&desk);
        until("it stands as before", || desk.rows().len() == 3).await;
        assert!(desk.rows().iter().all(|row| row.next_ms == Some(until_ms) && !row.is_ordering), "{:?}", desk.rows());
        assert_eq!(heard.turned_away.load(SeqCst), 1);
        clock.advance(2 * HOUR);
        until("the next is asked for", || heard.turned_away.load(SeqCst) == 2).await;
    });
}
