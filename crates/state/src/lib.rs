//! The control store: migrations and one writer
