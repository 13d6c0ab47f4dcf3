//! An authority that turns everybody away, as pebble never does.

mod limited;
