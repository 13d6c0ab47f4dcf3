//! The plane's listening sockets: which of them may be opened, and what each asks of its clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use net::listen::ListenAddr;
use net::sockets::Sockets;

use crate::config::Config;
use crate::serve::stream::{Listener, PLAIN, TLS, TlsListener};
use crate::start_error::StartError;
use crate::tls::Tls;

/// The addresses with TLS, and what they serve with. Nothing is bound yet.
pub(crate) struct Doors {
    /// Each with whether its clients must say who they are.
    with_tls: Vec<(ListenAddr, bool)>,
    tls: Option<Arc<Tls>>,
}

/// The open sockets.
pub(crate) struct Bound {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) plain: Arc<[SocketAddr]>,
    pub(crate) tls: Arc<[SocketAddr]>,
    pub(crate) unlocks: Option<Arc<Tls>>,
}

impl Doors {
    /// What other machines can reach wants TLS and a token; without one it stays closed.
    pub(crate) fn check(config: &Config, has_tokens: bool) -> Result<Doors, StartError> {
        for addr in config.listen.iter().chain(&config.http_listen) {
            if !addr.is_loopback()? {
                return Err(StartError::Exposed(addr.clone()));
            }
        }
        let mut with_tls = Vec::new();
        for addr in &config.tls.listen {
            let is_exposed = !addr.is_loopback()?;
            if is_exposed && !has_tokens {
                return Err(StartError::Open(addr.clone()));
            }
            with_tls.push((addr.clone(), is_exposed));
        }
        let tls = if with_tls.is_empty() { None } else { Some(Arc::new(Tls::open(&config.tls)?)) };
        Ok(Doors { with_tls, tls })
    }

    /// Opens all of them.
    pub(crate) fn bind(
        self,
        sockets: &Sockets,
        listen: &[ListenAddr],
        unix_socket: Option<PathBuf>,
    ) -> Result<Bound, StartError> {
        let bound = sockets.bind_all(PLAIN, listen, 1)?;
        let plain = bound.iter().map(|one| one.addr).collect();
        let mut listeners: Vec<Listener> = bound.into_iter().flat_map(|one| one.sockets).map(Listener::Tcp).collect();
        if let Some(path) = unix_socket {
            let bound = sockets.bind_unix(&path, Listener::bind_unix);
            listeners.push(Listener::Unix(bound.map_err(|source| StartError::Socket { path, source })?));
        }
        let mut tls = Vec::new();
        for (addr, wants_auth) in self.with_tls {
            for one in sockets.bind_all(TLS, &[addr], 1).map_err(StartError::ListenTls)? {
                tls.push(one.addr);
                let sockets = one.sockets.into_iter().map(|socket| TlsListener { socket, wants_auth });
                listeners.extend(sockets.map(Listener::Tls));
            }
        }
        Ok(Bound { listeners, plain, tls: tls.into(), unlocks: self.tls })
    }
}
