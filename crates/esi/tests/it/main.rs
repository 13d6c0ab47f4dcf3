//! Pages, fragments and deadlines.

mod ends;
mod garbage;
mod page;
mod parsing;
