//! One instance from start to end, with real processes: what an application sees, what a node hears, and what is left
//! of both when either is killed.

mod back_pressure;
mod control_socket;
mod ending;
mod footprint;
mod output;
mod rig;
mod start_errors;
mod surroundings;
mod survival;
