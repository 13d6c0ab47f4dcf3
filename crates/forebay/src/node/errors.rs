//! The one table from what keeps a plane from starting to what the operator is told.

use config::node::Origin;
use control::error::{ApiError, Kind};
use net::listen::ListenError;
use stdx::format::FormatError;
use stdx::lock::LockError;

use crate::paths::DataDir;

/// A plane folder that another process has.
pub(crate) fn lock(error: &LockError) -> ApiError {
    match error {
        LockError::Held { .. } => ApiError::new(Kind::Conflict, "data_folder_locked", error.to_string())
            .hint("stop that process, or name another folder with --data"),
        LockError::Io { .. } => ApiError::new(Kind::Failed, "data_folder_unusable", error.to_string())
            .hint("name a folder that you may write with --data"),
    }
}

/// A plane folder that this Forebay cannot read.
pub(crate) fn format(error: &FormatError) -> ApiError {
    ApiError::new(Kind::Failed, error.code(), error.to_string()).hint(error.hint())
}

/// An address that cannot be listened on; `at` says who asked for it.
pub(crate) fn listen(error: &ListenError, at: String) -> ApiError {
    let hint = match error {
        ListenError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            "another process has the port; stop it, or choose another (port 0 takes a free one)"
        }
        ListenError::Bind { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE"
        }
        _ => "write HOST:PORT with an address of this machine",
    };
    ApiError::new(Kind::Failed, error.code(), error.to_string()).at(at).hint(hint)
}

/// A write-ahead log that cannot be opened.
fn wal(error: &wal::OpenError) -> ApiError {
    ApiError::new(Kind::Failed, "log_unreadable", error.to_string())
        .hint("check the disk and the folder's permissions; nothing was changed")
}

/// The log plane.
pub(crate) fn logs(error: logs::StartError) -> ApiError {
    match error {
        logs::StartError::Lock(error) => lock(&error),
        logs::StartError::Format(error) => format(&error),
        logs::StartError::Log(error) => wal(&error),
        other => ApiError::new(Kind::Failed, "logs_start_failed", other.to_string()),
    }
}

/// The control store.
pub(crate) fn state(error: state::StateError) -> ApiError {
    match error {
        state::StateError::Locked(error) => lock(&error),
        state::StateError::Format(error) => format(&error),
        other => {
            let api = ApiError::new(Kind::Failed, other.code(), other.to_string());
            match other.hint() {
                Some(hint) => api.hint(hint),
                None => api,
            }
        }
    }
}

/// The deploy plane.
pub(crate) fn deploy(error: deploy::StartError) -> ApiError {
    match error {
        deploy::StartError::State(error) => state(error),
        deploy::StartError::Folder { .. } => ApiError::new(Kind::Failed, "data_folder_unusable", error.to_string())
            .hint("name a folder that you may write with --data"),
    }
}

/// The queue.
pub(crate) fn queue(error: queue::StartError, origin: &Origin) -> ApiError {
    match error {
        queue::StartError::Lock(error) => lock(&error),
        queue::StartError::Format(error) => format(&error),
        queue::StartError::Listen(error) => listen(&error, origin.at("queue.listen")),
        queue::StartError::ListenTls(error) => listen(&error, "queue.tls.listen".into()),
        queue::StartError::Tls(error) => tls(&error, "the queue", "[queue.tls]"),
        other => ApiError::new(Kind::Failed, other.code(), other.to_string()).hint(other.hint()),
    }
}

/// What was set by hand.
pub(crate) fn overrides(error: &router::overrides::LoadError, data: &DataDir) -> ApiError {
    ApiError::new(Kind::Failed, error.code(), error.to_string())
        .at(data.plane("router").join("overrides").display().to_string())
        .hint("move the file away to start without what was set by hand")
}

/// The listeners with TLS.
fn tls(error: &net::tls::TlsError, what: &str, at: &str) -> ApiError {
    let (message, hint) = match error {
        net::tls::TlsError::Empty => (
            format!("there is no certificate to serve {what} with"),
            "add certificates = [{ cert = \"/etc/ssl/site.pem\", key = \"/etc/ssl/site.key\" }] to the table",
        ),
        other => (other.to_string(), "see to the file, or leave the addresses away to serve without TLS"),
    };
    ApiError::new(Kind::Failed, error.code(), message).at(at).hint(hint)
}

/// The router.
pub(crate) fn router(error: router::StartError, origin: &Origin) -> ApiError {
    match error {
        router::StartError::Listen(error) => listen(&error, origin.at("router.listen")),
        router::StartError::ListenTls(error) => listen(&error, "router.tls.listen".into()),
        router::StartError::Tls(error) => tls(&error, "HTTPS", "[router.tls]"),
        router::StartError::AcmeNowhere => {
            let error = ApiError::new(Kind::Failed, error.code(), error.to_string()).at("router.tls.acme.folder");
            error.hint("name one with `folder`, or a data folder with --data")
        }
        router::StartError::CacheNowhere => {
            let error = ApiError::new(Kind::Failed, error.code(), error.to_string()).at("router.cache_disk_bytes_max");
            error.hint("name a data folder with --data, or leave the key out")
        }
        other => ApiError::new(Kind::Failed, other.code(), other.to_string()).at("[router]"),
    }
}
