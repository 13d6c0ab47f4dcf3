//! What several of the tests need.

use config::{ConfigError, Manifest};

/// A manifest with two processes and a route; `more` is added at its end.
pub(crate) fn shop(more: &str) -> String {
    format!(
        "schema = 1\napp = \"shop\"\n\n[processes.web]\ncommand = \"python3 web.py\"\n\n[processes.worker]\ncommand = \"python3 worker.py\"\n{more}"
    )
}

/// What a user is told about a manifest.
pub(crate) fn told(text: &str) -> String {
    refused(text).to_string()
}

/// The error of a manifest that must be refused.
pub(crate) fn refused(text: &str) -> ConfigError {
    match Manifest::parse(text) {
        Err(error) => error,
        Ok(manifest) => panic!("this was taken:\n{text}\nas {manifest:#?}"),
    }
}
