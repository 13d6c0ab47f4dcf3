//! A page of fragments of which five take 50 ms and one takes two seconds, all of them made anew each time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::proxies::{self, Proxy, Told};
use crate::figures::{Figure, round};
use crate::http::Connection;
use crate::router::backend::{Backend, Manner};
use crate::server::Server;

const PROMPT: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_secs(2);
/// In a round; Varnish takes more than two seconds for each.
const PAGES: usize = 20;
const PAGES_OF_PEERS: usize = 2;

/// How long a page takes.
pub(super) fn measure(forebay: &Path, folder: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let backend = Backend::with(Manner::Later(Arc::new(answer)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
    let mut figures = Vec::new();
    for proxy in [Proxy::Forebay(forebay.into()), Proxy::Varnish] {
        let Some(server) = start(&proxy, &backend, folder)? else {
            eprintln!("without {}: it is not there", proxy.name());
            continue;
        };
        let pages = if matches!(proxy, Proxy::Forebay(_)) { PAGES * rounds } else { PAGES_OF_PEERS };
        let mut times = runtime.block_on(read(&server, pages)).with_context(|| format!("{}, esi", proxy.name()))?;
        times.sort();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
        let figure = |metric, value| Figure {
            bench: "router",
            scenario: "esi".into(),
            variant: "5x50ms+2s".into(),
            subject: proxy.name().into(),
            metric,
            value: round(value, 1),
            ratio: BTreeMap::new(),
        };
        figures.extend([figure("p50_ms", at(50)), figure("p99_ms", at(99))]);
    }
    Ok(figures)
}

fn start(proxy: &Proxy, backend: &Backend, folder: &Path) -> Result<Option<Server>> {
    proxy.start_with(&format!("{}-esi", proxy.name()), folder, |listen, home| match proxy {
        Proxy::Varnish => {
            Told::varnish(listen, backend.addr, "sub vcl_backend_response { set beresp.do_esi = true; }\n", home)
        }
        _ => Told::config(proxies::forebay(listen, backend.addr, 1) + "fragments = {}\n"),
    })
}

async fn read(server: &Server, pages: usize) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(server.addr).await.context("cannot connect")?;
    let mut times = Vec::with_capacity(pages);
    for _ in 0..pages {
        let started = Instant::now();
        let reply = connection.exchange(b"GET /page HTTP/1.1\r\nHost: bench\r\n\r\n").await.context("no page")?;
        times.push(started.elapsed());
        let page = String::from_utf8_lossy(reply.body);
        let whole = (1..=5).all(|one| page.contains(&format!("[{one}]"))) && page.ends_with("</html>");
        ensure!(reply.status == 200 && whole, "answered with {}: {page}", reply.status);
    }
    Ok(times)
}

fn answer(head: &str) -> Option<(Duration, String)> {
    let path = head.strip_prefix("GET ")?.split(' ').next()?;
    let (after, kind, content) = match path.rsplit('/').next()? {
        "page" => {
            let include = |one: &str| format!("<p><esi:include src=\"/{one}\"/></p>");
            let content: String = ["1", "2", "3", "late", "4", "5"].map(include).concat();
            (Duration::ZERO, "text/html", format!("<html>{content}</html>"))
        }
        "late" => (LATE, "text/plain", "[late]".into()),
        one => (PROMPT, "text/plain", format!("[{one}]")),
    };
    let length = content.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    Some((after, head + &content))
}
