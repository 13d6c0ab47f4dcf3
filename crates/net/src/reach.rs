//! How an endpoint is come to: what is said on a connection before its first request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::proxy_protocol::{Addresses, write_v1, write_v2};
use crate::stream::Stream;
use crate::tls::Connector;

/// What comes before the first request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// A handshake.
    pub tls: Option<Arc<Connector>>,
    /// A header that says who the client is.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// The version of a PROXY protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl Reach {
    /// Connects to `addr` and says all of it. `client`: the two ends of the connection on whose behalf this one is made;
    /// `None`: it is the router's own. `only_http1`: as [`Connector::connect`] has it.
    ///
    /// # Errors
    /// What the system says, or why there was no handshake.
    pub async fn open(&self, addr: SocketAddr, client: Option<Addresses>, only_http1: bool) -> io::Result<Stream> {
        let mut tcp = TcpStream::connect(addr).await?;
        tcp.set_nodelay(true)?;
        match self.proxy_protocol {
            Some(ProxyVersion::V1) => tcp.write_all(&write_v1(client)).await?,
            Some(ProxyVersion::V2) => tcp.write_all(&write_v2(client)).await?,
            None => {}
        }
        match &self.tls {
            None => Ok(Stream::Plain(tcp)),
            Some(connector) => Ok(Stream::Tls(Box::new(connector.connect(addr, tcp, only_http1).await?))),
        }
    }
}
