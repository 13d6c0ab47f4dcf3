//! The router's access records become log records. Each worker has a bounded ring; one thread comes by and empties them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use logs::{Body, Level, Record, Source};
use router::access::BoundedRing;
use router::{AccessRecord, AccessRing, AccessSink};
use stdx::clock::{Clock, SystemClock};

use super::access;

/// Records that one worker's ring holds: a tenth of a second at 80,000 requests a second.
const RING_RECORDS: usize = 8_192;
/// How often the thread comes by.
const SWEEP: Duration = Duration::from_millis(50);

/// Where swept records go; the second argument counts the ones dropped before them.
pub(crate) type Outlet = Box<dyn FnMut(&mut Vec<AccessRecord>, u64) + Send>;

/// The rings of all workers.
pub(crate) struct AccessLog {
    rings: Arc<Rings>,
    /// Whether records are to say what the request said of its agent.
    agents: bool,
}

#[derive(Default)]
struct Rings(Mutex<Vec<BoundedRing>>);

impl AccessLog {
    /// Starts the thread; it ends when the last worker has gone.
    pub(crate) fn start(outlet: Outlet) -> io::Result<AccessLog> {
        let rings = Arc::new(Rings::default());
        let weak = Arc::downgrade(&rings);
        thread::Builder::new().name("access-log".into()).spawn(move || sweep_all(&weak, outlet))?;
        Ok(AccessLog { rings, agents: false })
    }

    /// With the agents of requests in the records.
    pub(crate) fn with_agents(self, agents: bool) -> AccessLog {
        AccessLog { agents, ..self }
    }
}

impl AccessSink for AccessLog {
    fn ring(&self, _worker: usize) -> Option<Box<dyn AccessRing>> {
        let ring = BoundedRing::new(RING_RECORDS);
        self.rings.0.lock().unwrap_or_else(PoisonError::into_inner).push(ring.clone());
        Some(Box::new(WorkersEnd { ring, agents: self.agents, _rings: self.rings.clone() }))
    }
}

/// A worker's end of its ring; the sweeping thread lives as long as one of these does.
struct WorkersEnd {
    ring: BoundedRing,
    agents: bool,
    _rings: Arc<Rings>,
}

impl AccessRing for WorkersEnd {
    fn push(&mut self, record: AccessRecord) -> bool {
        self.ring.push(record)
    }

    fn wants_agents(&self) -> bool {
        self.agents
    }
}

fn sweep_all(rings: &Weak<Rings>, mut outlet: Outlet) {
    let mut records = Vec::new();
    loop {
        let Some(rings) = rings.upgrade() else { return };
        let all = rings.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        drop(rings);
        for ring in &all {
            let dropped = ring.take(&mut records);
            if dropped > 0 || !records.is_empty() {
                outlet(&mut records, dropped);
            }
        }
        thread::sleep(SWEEP);
    }
}

/// Into the log plane, which counts what it cannot take.
pub(crate) fn into_logs(logs: logs::Handle) -> Outlet {
    Box::new(move |records, dropped| {
        for record in records.drain(..) {
            // false: dropped, and counted by the log plane.
            logs.offer(of_access(&record));
        }
        if dropped > 0 {
            let message = format!("dropped {dropped} access records: the ring of a worker was full");
            let now = SystemClock::new().wall();
            logs.offer(Record::text(now, Source::Router, Level::Warning, message).with("dropped_records", dropped));
        }
    })
}

fn of_access(access: &AccessRecord) -> Record {
    let level = match access.status {
        500.. => Level::Error,
        400.. => Level::Notice,
        _ => Level::Info,
    };
    let body = Body::Text { message: access::message(access), fields: access::fields(access) };
    let mut record = Record::new(access.time, Source::Router, level, body);
    record.trace = Some(access.trace.trace);
    record.span = Some(access.trace.span);
    record.scope = access.route.as_ref().and_then(|route| route.scope.clone());
    if let Some(endpoint) = access.endpoint() {
        record.instance = endpoint.instance.as_ref().map(ToString::to_string);
        record.release = endpoint.release;
    }
    record
}
