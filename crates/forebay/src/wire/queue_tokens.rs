//! The queue asks the control store whose token it is.

use queue::TokenSource;
use state::Store;
use stdx::ids::Scope;

/// The tokens that the control store knows; looked up by hash in memory.
pub(crate) struct StoredTokens(pub(crate) Store);

impl TokenSource for StoredTokens {
    fn namespace(&self, token: &str) -> Option<Scope> {
        self.0.queue_scope(token)
    }
}
