//! Orders that are sent twice, and endpoints that fall silent after the effect: one effect, one answer.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::figures::Figure;
use crate::http::Connection;
use crate::router::backend::{Answers, Backend, Manner};
use crate::router::proxies::{Proxy, Told};

const POSTS: u64 = 10_000;
const LANES: u64 = 16;

/// The effects of an application by their keys.
type Effects = Arc<Mutex<HashMap<String, u64>>>;

/// Sends one in `share` of all POSTs, each on two connections at about the same time.
pub(super) fn measure(forebay: &Path, folder: &Path, share: u64) -> Result<Vec<Figure>> {
    let posts = POSTS / share;
    let effects = Effects::default();
    let backends = [Backend::with(Manner::Answers(shop(&effects)))?, Backend::with(Manner::Answers(shop(&effects)))?];
    let told = |listen, _: &Path| Told::config(config(listen, backends.each_ref().map(|one| one.addr)));
    let server = Proxy::Forebay(forebay.into()).start_with("idempotency", folder, told)?;
    let server = server.context("there is no forebay")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
    let unlike = runtime.block_on(async {
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            lanes.spawn(twice_each(server.addr, (lane..posts).step_by(LANES as usize)));
        }
        let mut unlike = 0;
        while let Some(lane) = lanes.join_next().await {
            unlike += lane.context("a client panicked")??;
        }
        anyhow::Ok(unlike)
    })?;
    let figure = |metric, value: u64| Figure {
        bench: "router",
        scenario: "idempotency".into(),
        variant: "twice".into(),
        subject: crate::figures::FOREBAY.into(),
        metric,
        value: value as f64,
        ratio: BTreeMap::new(),
    };
    let had = effects.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
    Ok(vec![
        figure("unlike_answers", unlike),
        figure("posts", posts),
        figure("effects", had),
        figure("requests_at_endpoints", backends.iter().map(Backend::requests).sum()),
    ])
}

/// How many keys had two answers, or one that is no answer.
async fn twice_each(addr: SocketAddr, keys: impl Iterator<Item = u64>) -> Result<u64> {
    let (mut one, mut other) = (Connection::open(addr).await?, Connection::open(addr).await?);
    let mut unlike = 0;
    for key in keys {
        let request =
            format!("POST /orders HTTP/1.1\r\nHost: bench\r\nIdempotency-Key: \"{key}\"\r\nContent-Length: 0\r\n\r\n");
        let (first, second) = tokio::join!(one.exchange(request.as_bytes()), other.exchange(request.as_bytes()));
        let (first, second) = (first.context("no answer")?, second.context("no second answer")?);
        let alike = (first.status, second.status) == (200, 200) && first.body == second.body;
        unlike += u64::from(!alike);
    }
    Ok(unlike)
}

/// Has one effect per key, and after every other first one it closes without a word.
fn shop(effects: &Effects) -> Answers {
    let effects = Arc::clone(effects);
    Arc::new(move |request| {
        let key = request.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("idempotency-key: ")?.trim_matches('"').parse::<String>().ok()
        })?;
        let mut effects = effects.lock().unwrap_or_else(PoisonError::into_inner);
        let next = effects.len() as u64;
        let is_new = !effects.contains_key(&key);
        let effect = *effects.entry(key).or_insert(next);
        if is_new && effect.is_multiple_of(2) {
            return None;
        }
        let text = format!("effect {effect}");
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
    })
}

fn config(listen: SocketAddr, [a, b]: [SocketAddr; 2]) -> String {
    format!(
        r#"schema = 1
[router]
listen = ["{listen}"]
workers = 2
[upstreams.shop]
endpoints = ["{a}", "{b}"]
budget = {{ percent = 100 }}
[[routes]]
upstream = "shop"
retries_max = 2
idempotency = {{}}
"#
    )
}
