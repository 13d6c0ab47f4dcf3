//! The deploy plane as its users see it: real processes under real inits, a fake router, a fake log store, and the admin
//! API in front.

mod archive;
mod back_pressure;
mod deploys;
mod health;
mod killing;
mod restarts;
mod rig;
mod secrets;
