//! How much there may be of everything, and why one more was refused.

use std::collections::BTreeMap;

use super::{Engine, Now, SpaceIx, TubeIx};
use crate::config::{Config, TubeConfig};
use crate::names::JobId;

/// The part of the memory that watched tubes may take.
const WATCHES_PART: u64 = 4;

/// A tube in the list of a client, and the client in that of the tube while it waits.
const WATCH_BYTES: u64 = 32;

/// The engine's limits, from the plane's configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) jobs_max: u64,
    pub(crate) bytes_max: u64,
    pub(crate) index_bytes_max: u64,
    pub(crate) tubes_max: u32,
    pub(crate) client_tubes_max: u32,
    pub(crate) keys_max: u32,
    /// Tubes that all connections together may watch.
    pub(crate) watches_max: u64,
    /// For tubes that nobody configured.
    pub(crate) tube: TubeConfig,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Limits {
        Limits {
            jobs_max: config.jobs_max,
            bytes_max: config.bytes_max,
            index_bytes_max: config.index_bytes_max,
            tubes_max: config.tubes_max,
            client_tubes_max: config.connection_tubes_max,
            keys_max: config.keys_max,
            watches_max: config.memory_bytes_max / WATCHES_PART / WATCH_BYTES,
            tube: config.tube.clone(),
        }
    }
}

/// Which limit stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// `tubes_max`, or the tubes that one connection may watch.
    Tubes,
    /// `jobs_max`, `bytes_max` or `age_max_ms` of the tube.
    Tube,
    /// `jobs_max` or `bytes_max` of all tubes together.
    Queue,
    /// `index_bytes_max`.
    Memory,
}

impl Engine {
    /// Whether a job of `bytes` fits into the tube.
    pub(crate) fn has_room(&self, tube: TubeIx, bytes: u64, now: Now) -> Result<(), Refused> {
        if self.jobs_len() >= self.limits.jobs_max || self.bytes + bytes > self.limits.bytes_max {
            return Err(Refused::Queue);
        }
        if self.index_bytes() >= self.limits.index_bytes_max {
            return Err(Refused::Memory);
        }
        let tube = self.tube(tube);
        if tube.figures.jobs() >= tube.config.jobs_max || tube.figures.bytes + bytes > tube.config.bytes_max {
            return Err(Refused::Tube);
        }
        let age_max_ms = tube.config.age_max_ms;
        let oldest = if age_max_ms > 0 { tube.oldest_ready().and_then(|id| self.job(id)) } else { None };
        if oldest.is_some_and(|job| now.wall.millis().saturating_sub(job.created_ms) > age_max_ms) {
            return Err(Refused::Tube);
        }
        Ok(())
    }

    /// Memory that all jobs take beside their bodies: rows, facts and their places in the orders.
    pub(crate) fn index_bytes(&self) -> u64 {
        /// The longer of the two kinds of keys, and what a run has of its own and of gaps.
        const PLACE_BYTES: u64 = 18;
        self.jobs.bytes() + (self.jobs_len() - self.far_len()) * PLACE_BYTES
    }

    /// Memory for what is no job's alone: keys, groups, leases, the dead, watched tubes.
    pub(crate) fn beside_bytes(&self) -> u64 {
        const KEY_BYTES: u64 = 512;
        const GROUP_BYTES: u64 = 256;
        const LEASE_BYTES: u64 = 64;
        const DEAD_BYTES: u64 = 16;
        let keys = self.keys.len() as u64 * KEY_BYTES + self.groups.len() as u64 * GROUP_BYTES;
        let jobs = self.leases.len() as u64 * LEASE_BYTES + self.dead.len() as u64 * DEAD_BYTES;
        keys + jobs + self.watches * WATCH_BYTES
    }

    /// Whether a job that is there already could be in this tube.
    pub(crate) fn fits_tube(&self, to: TubeIx, id: JobId) -> bool {
        let Some(job) = self.job(id) else { return false };
        let tube = self.tube(to);
        let bytes = tube.figures.bytes + u64::from(job.body_len);
        job.tube == to || (tube.figures.jobs() < tube.config.jobs_max && bytes <= tube.config.bytes_max)
    }

    /// Whether there may be one more key.
    pub(crate) fn has_room_for_keys(&self) -> bool {
        self.keys().len() < self.limits.keys_max as usize
    }

    /// Takes over limits that have changed; tubes that their manifest does not name follow the new defaults. What is over
    /// a lower limit stays, and nothing is added to it.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        for space in 0..u32::try_from(self.spaces().len()).expect("namespaces are few") {
            let configs = std::mem::take(&mut self.space_mut(SpaceIx(space)).configs);
            self.configure(SpaceIx(space), configs);
        }
    }

    /// Whether any tube may have alerts.
    pub(crate) fn has_alerts(&self) -> bool {
        let has = |config: &TubeConfig| config.alert_age_ms > 0 || config.alert_drain_ms > 0;
        has(&self.limits.tube) || self.spaces().iter().any(|space| space.configs.values().any(has))
    }

    /// Takes over what a manifest says of its tubes; tubes that it does not name get the plane's defaults.
    pub(crate) fn configure(&mut self, space: SpaceIx, configs: BTreeMap<String, TubeConfig>) {
        let tubes: Vec<_> = self.space(space).tubes.values().copied().collect();
        for ix in tubes {
            let config = configs.get(self.tube(ix).name.as_str()).unwrap_or(&self.limits.tube).clone();
            self.tube_mut(ix).config = config;
        }
        self.space_mut(space).configs = configs;
    }
}
