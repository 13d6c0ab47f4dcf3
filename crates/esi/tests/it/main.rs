//! Pages, fragments and deadlines.

mod garbage;
mod page;
mod parsing;
