//! The log as its owners use it.

mod damage;
mod fixture;
mod full_disk;
mod garbage;
mod real_disk;
mod rig;
mod simulator;
mod stopped;
mod thread;
