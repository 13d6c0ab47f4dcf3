//! What the router adds to the head of a request on its way to an endpoint: where the client is, which trace it stands in,
//! how long it may take. Written straight into the head's bytes; no list of fields is touched for it. Pure.

use http::HeaderMap;

use crate::deadline::Left;
use crate::fields;
use crate::tracing_context::{self, Traced};
use crate::upgrade;

/// What one try adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) left: Left,
    pub(crate) traced: &'a Traced,
    /// The client, unless the head tells about it already.
    pub(crate) client: Option<&'a fields::Origin>,
    /// The client asks to go on with WebSocket.
    pub(crate) upgrades: bool,
}

impl Hop<'_> {
    /// Writes the fields, of a head whose others are `headers`.
    pub(crate) fn write(&self, out: &mut Vec<u8>, headers: &HeaderMap) {
        if let Some(client) = self.client {
            fields::write_forwarded(out, headers, client);
        }
        tracing_context::write(out, self.traced);
        self.left.write(out);
        if self.upgrades {
            out.extend_from_slice(upgrade::FIELDS);
        }
    }
}
