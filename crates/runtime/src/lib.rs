//! One instance: its init process, its pipes, its secrets
