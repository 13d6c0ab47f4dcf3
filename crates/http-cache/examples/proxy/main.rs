//! A small caching reverse proxy over this crate: `cargo run -p http-cache --example proxy -- LISTEN ORIGIN`.
//!
//! It shows how the pieces are driven, which the router drives in its own way. It is no product: one connection to
//! the origin per request, no limits on what clients send.

mod body;
mod exchange;
mod origin;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http_cache::{AgeReading, Heuristic, Options, SetCookie};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use exchange::Proxy;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(origin)) = (arguments.next(), arguments.next()) else {
        return Err("usage: proxy LISTEN ORIGIN, both as ADDRESS:PORT".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(listen.parse()?, origin.parse()?))
}

/// What the suite calls optimal needs a cache that is asked to do all that the RFCs allow.
fn willing() -> Options {
    Options {
        heuristic: Some(Heuristic { percent: 10, lifetime_s_max: 86_400 }),
        set_cookie: SetCookie::Always,
        age: AgeReading::Strict,
        language_by_quality: true,
        stale_if_error_s: 60,
        ..Options::default()
    }
}

async fn serve(listen: SocketAddr, origin: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let proxy = Rc::new(Proxy::new(willing(), origin));
    let clock = proxy.clone();
    tokio::task::spawn_local(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            clock.expire();
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let proxy = proxy.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let proxy = proxy.clone();
                async move { Ok::<_, Infallible>(proxy.handle(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
}
