//! What is asked on behalf of a request, and told by it: fetches of the cache, fragments of its page.

use std::rc::Rc;
use std::time::Duration;

use http::request::Parts;

use super::{Exchange, record};
use crate::access::{Event, Try, What};
use crate::capacity::Taken;
use crate::fields::FieldSet;
use crate::fragments::{Slot, Vantage};
use crate::route::Routed;
use crate::tracing_context::Traced;

/// What a fetch learned that the request which caused it wants to tell.
#[derive(Debug)]
pub(crate) struct Learned {
    tries: Vec<Try>,
    events: Vec<Event>,
    held: Duration,
    pub(crate) taken: Taken,
}

impl Exchange {
    /// A request for the same that no client waits for by itself: with a deadline of its own from now on, and without a
    /// record.
    pub(crate) fn aside(&self, routed: &Routed) -> Exchange {
        let worker = &self.worker;
        let started = worker.now();
        Exchange {
            worker: Rc::clone(worker),
            conn: Rc::clone(&self.conn),
            meter: Rc::clone(&worker.no_content),
            need: None,
            has_content: false,
            taken: Taken::default(),
            secure: false,
            address: None,
            user: None,
            location: None,
            compress: None,
            fragments: None,
            fragment: None,
            started,
            deadline: started + routed.policy.deadline,
            route: Some(routed.clone()),
            record: Some(Box::new(record(worker, &self.conn, &self.traced, None, ""))),
            aside: true,
            traced: self.traced,
        }
    }

    /// A request for a fragment of a page, in the page's trace and with a record of its own.
    pub(crate) fn of_fragment(page: &Vantage, head: &Parts, set: FieldSet, slot: Rc<Slot>) -> Exchange {
        let mut exchange = Exchange::begin(&page.worker, &page.conn, head, set);
        let context = page.trace.child(&mut page.worker.rng.borrow_mut());
        exchange.traced = Traced { context, parent: Some(page.trace), link: None };
        if let Some(record) = &mut exchange.record {
            (record.trace, record.parent, record.link) = (context, Some(page.trace), None);
        }
        exchange.fragment = Some(slot);
        exchange
    }

    /// Whether no client waits for it by itself.
    pub(crate) fn is_aside(&self) -> bool {
        self.aside
    }

    /// What has been learned, to be told by another.
    pub(crate) fn learned(&mut self) -> Learned {
        let record = self.record.as_mut();
        let (tries, events, held) = record.map_or_else(Default::default, |record| {
            (std::mem::take(&mut record.tries), std::mem::take(&mut record.events), record.held)
        });
        Learned { tries, events, held, taken: std::mem::take(&mut self.taken) }
    }

    /// Tells what was learned in its place; gives back what is held for it.
    pub(crate) fn learn(&mut self, learned: Learned) -> Taken {
        let Learned { tries, events, held, taken } = learned;
        if let Some(record) = &mut self.record {
            record.tries.extend(tries);
            record.events.extend(events);
            record.held += held;
        }
        taken
    }

    /// Whether the route's other upstream was asked.
    pub(crate) fn fell_back(&self) -> bool {
        let fell_back = |event: &Event| event.what == What::Fallback;
        self.record.as_ref().is_some_and(|record| record.events.iter().any(fell_back))
    }
}
