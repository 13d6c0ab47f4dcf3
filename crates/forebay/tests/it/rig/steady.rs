//! Clients that ask steadily, on connections that they keep as long as the server lets them. They do what their protocol says
//! when it ends one, and nothing more: no request is sent twice.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use net::reach::Reach;
use net::stream::Stream;
use net::tls::{Alpn, ConnectConfig, Connector, Verify};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

/// Ten clients with 50 requests a second each.
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    thread: JoinHandle<Vec<String>>,
}

impl Steady {
    pub(crate) fn start(addr: SocketAddr, tls: bool, speaks: Speaks) -> Steady {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&answered));
        let protocol = if speaks == Speaks::Http2 { Alpn::Http2 } else { Alpn::Http1 };
        let config = ConnectConfig { verify: Verify::Nothing, protocols: vec![protocol], ..ConnectConfig::default() };
        let tls = tls.then(|| Arc::new(Connector::new(&config).unwrap()));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut clients = JoinSet::new();
                for _ in 0..10 {
                    let client = Client {
                        addr,
                        reach: Reach { tls: tls.clone(), proxy_protocol: None },
                        stop: Arc::clone(&stopped),
                        answered: Arc::clone(&counted),
                    };
                    clients.spawn(async move {
                        match speaks {
                            Speaks::Http1 => client.http1().await,
                            Speaks::Http2 => client.http2().await,
                        }
                    });
                }
                clients.join_all().await.into_iter().flatten().collect()
            })
        });
        Steady { stop, answered, thread }
    }

    /// Requests that had their answer.
    pub(crate) fn answered(&self) -> u32 {
        self.answered.load(Relaxed)
    }

    /// Ends; what failed.
    pub(crate) fn finish(self) -> Vec<String> {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

struct Client {
    addr: SocketAddr,
    reach: Reach,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
}

impl Client {
    async fn connect(&self) -> io::Result<Stream> {
        self.reach.open(self.addr, None, false).await
    }

    fn note(&self, failed: &mut Vec<String>, outcome: Result<u16, String>) {
        match outcome {
            Ok(200) => drop(self.answered.fetch_add(1, Relaxed)),
            Ok(status) => failed.push(format!("status {status}")),
            Err(error) => failed.push(error),
        }
    }

    async fn http1(self) -> Vec<String> {
        let (mut failed, mut ticks) = (Vec::new(), ticks());
        let mut sender = None;
        while !self.stop.load(Relaxed) {
            ticks.tick().await;
            let mut open = match sender.take() {
                Some(open) => open,
                None => match self.connect().await {
                    Ok(stream) => {
                        let (open, connection) =
                            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
                        // How it ends the requests on it tell.
                        tokio::spawn(async move { connection.await.unwrap_or_default() });
                        open
                    }
                    Err(error) => {
                        failed.push(format!("connect: {error}"));
                        continue;
                    }
                },
            };
            // The server has closed it while nothing was under way.
            if open.ready().await.is_err() {
                continue;
            }
            let request = Request::get("/").header("host", "shop.example").body(Empty::<Bytes>::new()).unwrap();
            let outcome = async {
                let reply = open.send_request(request).await?;
                let (last, status) = (reply.headers().contains_key("connection"), reply.status().as_u16());
                reply.collect().await.map(|_| (last, status))
            };
            let outcome = outcome.await.map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)));
            if matches!(outcome, Ok((false, _))) {
                sender = Some(open);
            }
            self.note(&mut failed, outcome.map(|(_, status)| status));
        }
        failed
    }

    async fn http2(self) -> Vec<String> {
        let (mut failed, mut ticks) = (Vec::new(), ticks());
        let mut sender = None;
        while !self.stop.load(Relaxed) {
            ticks.tick().await;
            let open: h2::client::SendRequest<Bytes> = match sender.take() {
                Some(open) => open,
                None => {
                    let made = async {
                        let stream = self.connect().await.map_err(|error| error.to_string())?;
                        h2::client::handshake(stream).await.map_err(|error| error.to_string())
                    };
                    match made.await {
                        Ok((open, connection)) => {
                            // How it ends the requests on it tell.
                            tokio::spawn(async move { connection.await.unwrap_or_default() });
                            open
                        }
                        Err(error) => {
                            failed.push(format!("connect: {error}"));
                            continue;
                        }
                    }
                }
            };
            // The server has said that it takes no more requests.
            let Ok(mut open) = open.ready().await else { continue };
            let request = Request::get("https://shop.example/").body(()).unwrap();
            let outcome = async {
                let (reply, _) = open.send_request(request, true)?;
                let reply = reply.await?;
                let status = reply.status().as_u16();
                let mut content = reply.into_body();
                while let Some(data) = content.data().await {
                    content.flow_control().release_capacity(data?.len())?;
                }
                Ok::<_, h2::Error>(status)
            };
            self.note(&mut failed, outcome.await.map_err(|error| error.to_string()));
            sender = Some(open);
        }
        failed
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}
