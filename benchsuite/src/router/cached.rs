//! What a hit in the cache costs, beside the caches of haproxy, nginx and Varnish: CPU time per request.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::clients::Keep;
use super::proxies::{self, Log, Proxy, Told};
use super::{Effort, Scenario};
use crate::figures::Figure;
use crate::router::backend::{Backend, Manner};
use crate::server::Server;

const SCENARIOS: [(&str, Scenario); 2] = [
    ("100B", Scenario { name: "cache-hit", target: "/100", keep: Keep::Alive }),
    ("100kB", Scenario { name: "cache-hit", target: "/100000", keep: Keep::Alive }),
];

/// Both sizes, interleaved. What is asked for is in each cache after the warm-up; that it stays there is looked at.
pub(super) fn measure(forebay: &Path, folder: &Path, effort: &Effort) -> Result<Vec<Figure>> {
    let backend = Backend::with(Manner::Answers(std::sync::Arc::new(answer)))?;
    let mut running = Vec::new();
    for proxy in [Proxy::Forebay(forebay.into()), Proxy::Haproxy, Proxy::Nginx, Proxy::Varnish] {
        match start(&proxy, "cache", backend.addr, folder)? {
            Some(server) => running.push((proxy.name(), server)),
            None => eprintln!("without {}: it is not there", proxy.name()),
        }
    }
    let mut figures = Vec::new();
    for (variant, scenario) in &SCENARIOS {
        figures.extend(super::measure(&running, scenario, variant, effort)?);
    }
    // One for each cache and size, and the connections that were there before the first answer was.
    let misses = backend.requests();
    anyhow::ensure!(misses < 500, "{misses} requests were no hits");
    Ok(figures)
}

/// A proxy with its cache, which keeps what may be kept in memory; nginx in files, which the page cache holds.
pub(super) fn start(proxy: &Proxy, name: &str, backend: SocketAddr, folder: &Path) -> Result<Option<Server>> {
    proxy.start_with(&format!("{}-{name}", proxy.name()), folder, |listen, home| match proxy {
        Proxy::Forebay(_) => Told::config(proxies::forebay(listen, backend, 1) + "cache = {}\n"),
        Proxy::Haproxy => Told::config(
            proxies::haproxy(listen, backend, None, 1)
                .replace(
                    "defaults\n",
                    "cache kept\n  total-max-size 64\n  max-object-size 2000000\n  max-age 3600\ndefaults\n",
                )
                .replace(
                    "  default_backend back\n",
                    "  http-request cache-use kept\n  http-response cache-store kept\n  default_backend back\n",
                ),
        ),
        Proxy::Nginx => {
            let path = home.join("cache");
            let zone =
                format!("  proxy_cache_path {} keys_zone=kept:10m max_size=256m;\n  upstream back", path.display());
            Told::config(
                proxies::nginx(listen, backend, Log::Off, home).replace("  upstream back", &zone).replace(
                    "      proxy_pass",
                    "      proxy_cache kept;\n      proxy_cache_lock on;\n      proxy_pass",
                ),
            )
        }
        Proxy::Varnish => Told::varnish(listen, backend, "", home),
    })
}

/// As many bytes as the path says, good for an hour.
fn answer(head: &str) -> Option<String> {
    let bytes: usize = head.strip_prefix("GET /")?.split(' ').next()?.parse().ok()?;
    let content = "x".repeat(bytes);
    Some(format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: {bytes}\r\n\r\n{content}"))
}
