//! What tests put in the place of the machine: a disk that loses power, fills up and lies, bugs to plant in front of it,
//! a disk with a set pace, and a clock that is turned by hand. And readers that share no code with what they judge.

pub mod answers;
mod clock;
mod disk;
pub mod h2;
mod plants;
pub mod prometheus;
mod slow;
pub mod strict;

pub use clock::FakeClock;
pub use disk::{Call, FakeDisk, FakeFile, SECTOR};
pub use plants::{NamedFile, Plant, Planted};
pub use slow::SlowDisk;
