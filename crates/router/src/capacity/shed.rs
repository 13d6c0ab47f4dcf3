//! Why a request is turned away while others are served.

/// What became of a request that found no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Shed {
    #[error("as many requests wait as may")]
    Full,
    #[error("requests of a higher priority took its place")]
    Displaced,
    #[error("its turn did not come in time")]
    Late,
    #[error("its deadline could not have been met")]
    Hopeless,
}
