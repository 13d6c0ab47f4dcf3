//! A request on its way to endpoints: what they get of its head, and its content, which may have to be sent again.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http_body_util::BodyExt;

use crate::body::{ClientBody, ContentFault};
use crate::deadline;
use crate::exchange::Exchange;
use crate::fields::{self, Client, FieldSet, Origin};
use crate::kept::{KeepLimits, Kept};
use crate::retry::{self, Repeat};
use crate::tracing_context::{self, Traced};
use crate::upgrade;
use crate::worker::Worker;

/// A request as endpoints get it. Tries share it: one that has no content may be under way to several at once.
#[derive(Debug)]
pub(crate) struct Outbound {
    worker: Rc<Worker>,
    idempotent: bool,
    /// Whether a second try may be under way beside a first.
    hedged: bool,
    pub(crate) grpc_timeout: bool,
    /// It asks for a tunnel.
    pub(crate) upgrades: bool,
    pub(crate) traced: Traced,
    /// The two ends of the client's connection, the second where it is known.
    pub(crate) ends: (SocketAddr, Option<SocketAddr>),
    /// The client, unless the head tells about it already.
    pub(crate) client: Option<Origin>,
    pub(crate) head: Parts,
    content: Content,
}

#[derive(Debug)]
enum Content {
    None,
    /// Gone once a byte of it has left.
    Once(RefCell<Option<ClientBody>>),
    Kept(Kept),
}

impl Outbound {
    /// Turns a client's head into an endpoint's: hop-by-hop fields out, where it came from and its trace in.
    pub(crate) fn new(mut head: Parts, content: ClientBody, set: FieldSet, exchange: &Exchange) -> Outbound {
        let Exchange { worker, conn, traced, .. } = exchange;
        let upgrades = upgrade::is_asked(&head, set);
        fields::strip_hop_by_hop(&mut head.headers, set);
        if set.expect {
            // The client is told to go on when the endpoint begins to read.
            head.headers.remove(header::EXPECT);
        }
        if set.ours && !conn.trusted {
            fields::remove_all(&mut head.headers, fields::is_ours);
        }
        if let Some(secured) = &conn.secured {
            secured.write(&mut head.headers);
        }
        let proto = conn.proto();
        let client = Client { addr: &conn.peer_value, trusted: conn.trusted, proto };
        let said_nothing = fields::forwarded(&mut head.headers, set, client);
        let client = said_nothing.then(|| Origin { addr: conn.peer_value.clone(), proto });
        tracing_context::remove(&mut head.headers, set, traced);
        // Each try says how long it may take.
        deadline::remove(&mut head.headers, set);
        let idempotent = retry::is_idempotent(&head.method);
        let content = match content {
            ClientBody::Empty => Content::None,
            some => Content::Once(RefCell::new(Some(some))),
        };
        Outbound {
            worker: Rc::clone(worker),
            idempotent,
            hedged: !upgrades,
            grpc_timeout: set.grpc_timeout,
            upgrades,
            traced: *traced,
            ends: (conn.peer, conn.local),
            client,
            head,
            content,
        }
    }

    pub(crate) fn head(&self) -> &Parts {
        &self.head
    }

    /// It carries a key by which it has one effect however often it is sent, beside each other only where the application
    /// sees to that.
    pub(crate) fn repeat_by_key(&mut self, app_honours_key: bool) {
        self.idempotent = true;
        self.hedged = app_honours_key;
    }

    /// Reads content that no endpoint is to get.
    ///
    /// # Errors
    /// When it does not come whole.
    pub(crate) async fn read_away(&mut self) -> Result<(), ContentFault> {
        let Content::Once(content) = &self.content else { return Ok(()) };
        if let Some(mut content) = content.take() {
            while let Some(frame) = content.frame().await {
                frame?;
            }
        }
        Ok(())
    }

    /// Keeps the content from here on, if the request may ever be repeated.
    pub(crate) fn keep_content(&mut self, worker: &Worker, rule: &retry::Rule) {
        let Content::Once(content) = &mut self.content else { return };
        if !self.idempotent || rule.keep == KeepLimits::default() {
            return;
        }
        match content.take() {
            Some(ClientBody::Stream(stream)) => {
                self.content = Content::Kept(Kept::new(stream, rule.keep, &worker.shared.room));
            }
            other => *content.get_mut() = other,
        }
    }

    /// Whether another try is harmless, as far as is known now.
    pub(crate) fn repeat(&self) -> Repeat {
        let again = match &self.content {
            Content::None => self.idempotent,
            Content::Once(_) => false,
            Content::Kept(kept) => self.idempotent && kept.is_kept(),
        };
        if again { Repeat::Harmless } else { Repeat::Never }
    }

    /// Whether two tries can be under way beside each other.
    pub(crate) fn is_shareable(&self) -> bool {
        match &self.content {
            Content::None => self.idempotent && self.hedged,
            Content::Once(_) => false,
            Content::Kept(kept) => self.idempotent && self.hedged && kept.is_whole(),
        }
    }

    /// The same request once more, when repeating it is harmless.
    pub(crate) fn copy(&self) -> Option<Outbound> {
        let Outbound { worker, idempotent, hedged, grpc_timeout, upgrades, traced, ends, client, head, content } = self;
        let content = matches!(content, Content::None).then_some(Content::None)?;
        idempotent.then(|| Outbound {
            worker: Rc::clone(worker),
            idempotent: *idempotent,
            hedged: *hedged,
            grpc_timeout: *grpc_timeout,
            upgrades: *upgrades,
            traced: *traced,
            ends: *ends,
            client: client.clone(),
            head: head.clone(),
            content,
        })
    }

    /// Tells the application how much it may leave out.
    pub(crate) fn degrade(&mut self, level: u8) {
        self.head.headers.insert(fields::DEGRADE, HeaderValue::from(u16::from(level)));
    }

    /// Tells the application which user asks.
    pub(crate) fn tell_user(&mut self, user: HeaderValue) {
        self.head.headers.insert(fields::USER, user);
    }

    /// The request's fields.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The content for a try, `None` when it has left for good.
    pub(crate) fn content(&self) -> Option<ClientBody> {
        match &self.content {
            Content::None => Some(ClientBody::Empty),
            Content::Once(content) => content.take(),
            Content::Kept(kept) => Some(ClientBody::Kept(Box::new(kept.replay()))),
        }
    }

    /// Takes back content of which nothing was sent.
    pub(crate) fn give_back(&self, unsent: ClientBody) {
        if let Content::Once(content) = &self.content {
            content.replace(Some(unsent));
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.worker.pool.buffers().give_fields(std::mem::take(&mut self.head.headers));
    }
}
