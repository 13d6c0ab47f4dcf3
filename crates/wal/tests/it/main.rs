//! The log as its owners use it.

mod real_disk;
