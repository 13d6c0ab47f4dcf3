//! A store that is behind slows an application down; one that is full or has failed does not.

use deploy::{AtStop, SinkError};

use crate::rig::Rig;

/// Three times what init keeps, in lines of 80 bytes. The block time is ten minutes: whether it counts can be seen.
const FLOOD: &str = "worker 1 worker until [ -e ../go ]; do sleep 0.05; done; yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678 | head -n 40000; echo done > ../through; sleep 1000\nblock worker 600000";

struct Flood {
    rig: Rig,
}

impl Flood {
    async fn begin(trouble: SinkError) -> Flood {
        let rig = Rig::new().await;
        rig.deploy(&rig.source(FLOOD, &[])).await.unwrap();
        rig.log.answers(Some(trouble));
        std::fs::write(rig.dir.path().join("data/releases/shop/production/go"), "").unwrap();
        Flood { rig }
    }

    fn is_through(&self) -> bool {
        self.rig.dir.path().join("data/releases/shop/production/through").exists()
    }

    async fn end(mut self) -> (usize, u64) {
        self.rig.log.answers(None);
        self.rig.until_so("all is told", |rig| rig.log.said().len() as u64 + rig.log.dropped() >= 40_000).await;
        assert!(self.is_through());
        let told = (self.rig.log.said().len(), self.rig.log.dropped());
        self.rig.stop(AtStop::StopInstances).await;
        told
    }
}

#[tokio::test]
async fn a_store_that_is_behind_is_waited_for_and_loses_nothing() {
    let flood = Flood::begin(SinkError::Busy("8 bytes wait".into())).await;
    // Full buffers stand still; time that passes makes no difference to the outcome, only to what a mistake would show.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(!flood.is_through(), "it is held up");
    assert_eq!(flood.end().await, (40_000, 0));
}

#[tokio::test]
async fn a_full_store_holds_nobody_up_and_what_is_dropped_is_counted() {
    let flood = Flood::begin(SinkError::Full("no space".into())).await;
    flood.rig.until_so("it is through", |_| flood.is_through()).await;
    let (told, dropped) = flood.end().await;
    assert_eq!((told as u64 + dropped, dropped > 20_000), (40_000, true));
}
