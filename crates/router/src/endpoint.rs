//! What all workers know together about one endpoint: requests in flight, latency, and whether it refused lately.
//! It outlives snapshots; a swap of the routing forgets nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use health::Position;
use stdx::clock::Mono;
use stdx::ids::ReleaseNo;
use stdx::rng::Rng;

use crate::capacity::Breaker;
use crate::figures::EndpointFigures;
use crate::way::Way;

/// Time in which an observation loses two thirds of its weight (linkerd2-proxy's default decay).
const DECAY: Duration = Duration::from_secs(10);
/// What is assumed of an endpoint before its first answer, once one request is on its way to it.
const FIRST_GUESS_NANOS: f64 = 5e6;
/// What a failure counts as, so that an endpoint that fails fast does not look fast.
const FAILURE_NANOS: f64 = 1e9;
/// How long an endpoint that refused a connection is passed over; doubles from refusal to refusal.
const DOWN_FIRST: Duration = Duration::from_millis(100);
/// The longest time it is passed over.
const DOWN_MAX: Duration = Duration::from_secs(2);

/// What an endpoint is known by: the same address with another release is another endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EndpointKey {
    pub(crate) addr: SocketAddr,
    pub(crate) release: Option<ReleaseNo>,
}

/// The shared state of one endpoint. Workers write over each other's latency now and then; an average bears that.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) key: EndpointKey,
    in_flight: AtomicU32,
    /// Peak EWMA of the time to a reply's head: bits of an `f64` in nanoseconds, 0 before the first; and when it was
    /// last told something.
    latency: AtomicU64,
    told_at: AtomicU64,
    down_until: AtomicU64,
    refusals: AtomicU32,
    /// What it has come to by failing.
    pub(crate) breaker: Breaker,
    up: AtomicBool,
    up_since: AtomicU64,
    /// How far its copies of databases have come; only requests that ask for it look.
    positions: Mutex<Arc<[Position]>>,
    pub(crate) figures: EndpointFigures,
}

impl Endpoint {
    pub(crate) fn new(key: EndpointKey, now: Mono) -> Endpoint {
        Endpoint {
            key,
            in_flight: AtomicU32::new(0),
            latency: AtomicU64::new(0),
            told_at: AtomicU64::new(now.0),
            down_until: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            breaker: Breaker::default(),
            up: AtomicBool::new(true),
            up_since: AtomicU64::new(now.0),
            positions: Mutex::default(),
            figures: EndpointFigures::default(),
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// What picking it costs: latency times the requests that would then be in flight. Latency fades while nothing is
    /// heard, so that an endpoint that was slow once is tried again. One that nothing is known of costs nothing until a
    /// request is on its way to it: it is tried soon, and not with everything at once.
    pub(crate) fn load(&self, now: Mono) -> f64 {
        let latency = match self.faded(now) {
            0.0 if self.in_flight() > 0 => FIRST_GUESS_NANOS,
            known => known,
        };
        latency * (f64::from(self.in_flight()) + 1.0)
    }

    /// The latency that it is picked by, in microseconds.
    pub(crate) fn expected_us(&self, now: Mono) -> u64 {
        (self.faded(now) / 1e3) as u64
    }

    /// Until when it should be passed over, `None` when it may be picked.
    pub(crate) fn down(&self, now: Mono) -> Option<Mono> {
        let until = self.down_until.load(Relaxed);
        (until > now.0).then_some(Mono(until))
    }

    /// A reply's head came `latency` after its request.
    pub(crate) fn answered(&self, now: Mono, latency: Duration) {
        self.observe(now, latency.as_nanos() as f64);
        self.reached();
    }

    fn reached(&self) {
        if self.refusals.load(Relaxed) != 0 {
            self.refusals.store(0, Relaxed);
            self.down_until.store(0, Relaxed);
        }
    }

    /// A request that reached it got no reply.
    pub(crate) fn failed(&self, now: Mono) {
        self.observe(now, FAILURE_NANOS);
    }

    /// It answered, but with an error or that it has too much to do: that is not to look fast.
    pub(crate) fn answered_badly(&self, now: Mono, retry_after: Option<Duration>) {
        self.observe(now, retry_after.map_or(FAILURE_NANOS, |pause| FAILURE_NANOS.max(pause.as_nanos() as f64)));
        self.reached();
    }

    /// It is given requests again: what it did before it failed says nothing any more.
    pub(crate) fn begins_anew(&self, now: Mono, latency: Duration) {
        self.latency.store((latency.as_nanos() as f64).to_bits(), Relaxed);
        self.told_at.store(now.0, Relaxed);
        self.up_since.store(now.0, Relaxed);
    }

    /// Its place in the rotation, at each change of the routing.
    pub(crate) fn is_up(&self, up: bool, now: Mono) {
        if up && !self.up.swap(up, Relaxed) {
            self.up_since.store(now.0, Relaxed);
        }
        self.up.store(up, Relaxed);
    }

    /// For how long it has been in rotation.
    pub(crate) fn up_for(&self, now: Mono) -> Duration {
        now.since(Mono(self.up_since.load(Relaxed)))
    }

    /// It could not be connected to: nobody picks it for a short, jittered time while others are up.
    pub(crate) fn refused(&self, now: Mono, rng: &mut Rng) {
        let before = self.refusals.fetch_add(1, Relaxed).min(8);
        let pause = (DOWN_FIRST * (1 << before)).min(DOWN_MAX).mul_f64(0.75 + 0.5 * rng.f64());
        self.down_until.store((now + pause).0, Relaxed);
    }

    /// Its health check has told how far its copies of databases have come.
    pub(crate) fn set_positions(&self, positions: &Arc<[Position]>) {
        *self.positions.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(positions);
    }

    /// How far its copies of databases had come at its last health check.
    pub(crate) fn positions(&self) -> Arc<[Position]> {
        Arc::clone(&self.positions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Peak: a slower answer counts whole and at once, a faster one by the time that has passed.
    fn observe(&self, now: Mono, nanos: f64) {
        let known = self.faded(now);
        let next = if nanos > known {
            nanos
        } else {
            let weight = self.weight(now);
            known.mul_add(weight, nanos * (1.0 - weight))
        };
        self.latency.store(next.to_bits(), Relaxed);
        self.told_at.store(now.0, Relaxed);
    }

    fn faded(&self, now: Mono) -> f64 {
        f64::from_bits(self.latency.load(Relaxed)) * self.weight(now)
    }

    fn weight(&self, now: Mono) -> f64 {
        let passed = now.since(Mono(self.told_at.load(Relaxed)));
        (-passed.as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

/// A request that an endpoint has in hand; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    endpoint: Arc<Endpoint>,
    way: Way,
}

impl InFlight {
    pub(crate) fn begin(endpoint: &Arc<Endpoint>, way: Way) -> InFlight {
        endpoint.in_flight.fetch_add(1, Relaxed);
        InFlight { endpoint: Arc::clone(endpoint), way }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// What its connection has in common with others.
    pub(crate) fn way(&self) -> Way {
        self.way
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Relaxed);
    }
}
