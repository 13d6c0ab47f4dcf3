//! Buffers that no exchange uses: an idle connection, to whichever side, has none.

use std::cell::RefCell;

use bytes::BytesMut;
use http::HeaderMap;

/// Buffers kept for the next exchanges, and the largest that is kept.
const SPARE_MAX: usize = 128;
const SPARE_BYTES_MAX: usize = 16 << 10;
/// Fields that the largest kept list has room for.
const SPARE_FIELDS_MAX: usize = 64;

/// One worker's buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    inputs: RefCell<Vec<BytesMut>>,
    outputs: RefCell<Vec<Vec<u8>>>,
    fields: RefCell<Vec<HeaderMap>>,
}

impl Buffers {
    /// A buffer to read into; what it holds at first is nothing.
    pub(super) fn take_input(&self) -> BytesMut {
        self.inputs.borrow_mut().pop().unwrap_or_default()
    }

    /// An empty buffer to write a head into.
    pub(super) fn take_output(&self) -> Vec<u8> {
        self.outputs.borrow_mut().pop().unwrap_or_default()
    }

    /// An empty list of fields.
    pub(super) fn take_fields(&self) -> HeaderMap {
        self.fields.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes back a list of fields that a head had.
    pub(crate) fn give_fields(&self, mut fields: HeaderMap) {
        let mut spare = self.fields.borrow_mut();
        if spare.len() < SPARE_MAX && (1..=SPARE_FIELDS_MAX).contains(&fields.capacity()) {
            fields.clear();
            spare.push(fields);
        }
    }

    pub(super) fn give_input(&self, mut input: BytesMut) {
        let mut spare = self.inputs.borrow_mut();
        if spare.len() < SPARE_MAX && input.capacity() <= SPARE_BYTES_MAX {
            input.clear();
            spare.push(input);
        }
    }

    pub(super) fn give_output(&self, mut output: Vec<u8>) {
        let mut spare = self.outputs.borrow_mut();
        if spare.len() < SPARE_MAX && output.capacity() <= SPARE_BYTES_MAX {
            output.clear();
            spare.push(output);
        }
    }
}
