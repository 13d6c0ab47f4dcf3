//! An authority that says what pebble never says.

mod advice;
mod limited;
mod rig;
