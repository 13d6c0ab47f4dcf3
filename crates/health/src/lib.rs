//! The health checker's core and its cache
