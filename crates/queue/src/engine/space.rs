//! The tubes of one namespace and the figures of all of them together.

use std::collections::{BTreeMap, HashMap};

use super::tube::{Figures, Totals, TubeIx};
use crate::config::TubeConfig;
use crate::log::record::space_text;
use crate::names::{Namespace, TubeName};

/// A namespace's place in the engine. Namespaces are few and never go away while the plane runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SpaceIx(pub(crate) u32);

impl SpaceIx {
    /// The shared namespace.
    pub(crate) const SHARED: SpaceIx = SpaceIx(0);
}

/// One namespace.
pub(crate) struct Space {
    pub(crate) name: Namespace,
    /// The name as records spell it.
    pub(crate) text: String,
    pub(crate) tubes: HashMap<TubeName, TubeIx>,
    /// In the order of `list-tubes`: the last takes the place of one that goes, as in beanstalkd.
    pub(crate) order: Vec<TubeIx>,
    /// What the application's manifest says of its tubes.
    pub(crate) configs: BTreeMap<String, TubeConfig>,
    pub(crate) figures: Figures,
    pub(crate) totals: Totals,
    /// The last tick of each periodic job, in wall-clock milliseconds.
    pub(crate) ticks: BTreeMap<String, u64>,
    pub(crate) connections: u32,
    pub(crate) producers: u32,
    pub(crate) workers: u32,
    pub(crate) waiting: u32,
    pub(crate) connections_total: u64,
}

impl Space {
    pub(crate) fn new(name: Namespace) -> Space {
        Space {
            text: space_text(&name),
            name,
            tubes: HashMap::new(),
            order: Vec::new(),
            configs: BTreeMap::new(),
            figures: Figures::default(),
            totals: Totals::default(),
            ticks: BTreeMap::new(),
            connections: 0,
            producers: 0,
            workers: 0,
            waiting: 0,
            connections_total: 0,
        }
    }
}
