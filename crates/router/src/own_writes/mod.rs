//! Read your writes: who has written is sent to endpoints that have what it wrote.

mod cookie;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use stdx::clock::Mono;

use self::cookie::Written;
use crate::access::What;
use crate::answer;
use crate::exchange::Exchange;
use crate::fields::WROTE;
use crate::outbound::Outbound;
use crate::reply::Reply;
use crate::rescue::Failure;
use crate::snapshot::{OwnWrites, Target};
use crate::tries::{Destination, Via};

const KEY_BYTES: usize = 32;

/// Signs cookies.
#[derive(Debug)]
pub(crate) struct Signer(hmac::Key);

impl Signer {
    /// With the key in the router's data folder, which is made when it is missing; without one, with a key of this process.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(data: Option<&Path>) -> io::Result<Signer> {
        let mut key = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("no randomness"))?;
        if let Some(data) = data {
            fs::create_dir_all(data)?;
            let path = data.join("cookie.key");
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(mut file) => {
                    file.write_all(&key)?;
                    file.sync_all()?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    key = fs::read(&path)?.try_into().map_err(|_| io::Error::other("cookie.key is damaged"))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Signer(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }
}

/// What a read's endpoint must have, and until when it may be waited for.
#[derive(Debug)]
pub(crate) struct Need {
    written: Written,
    wait_until: Mono,
}

impl Need {
    pub(crate) fn is_met_by(&self, target: &Target) -> bool {
        self.written.is_in(&target.endpoint.positions())
    }

    /// How long an endpoint may still take.
    pub(crate) fn patience(&self, now: Mono) -> Duration {
        self.wait_until.since(now)
    }
}

/// Takes a request to the primary, or to an endpoint that has what its client wrote.
///
/// # Errors
/// Why the router has to answer itself.
pub(crate) async fn run(
    exchange: &mut Exchange,
    mut destination: Destination,
    outbound: Outbound,
    rule: &OwnWrites,
) -> Result<Reply, Failure> {
    let worker = std::rc::Rc::clone(&exchange.worker);
    let signer = &worker.shared.signer;
    let head = outbound.head();
    let writes = !matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let known = cookies(&head.headers, &rule.cookie).find_map(|value| cookie::read(&signer.0, &rule.primary, value));
    let known = known.filter(|known| known.holds(worker.clock.wall()));
    match &known {
        _ if writes => destination.turn(Via::Primary)?,
        Some(written) if written.positions.is_empty() => destination.turn(Via::Primary)?,
        Some(written) => {
            let wait_until = worker.now() + rule.wait;
            exchange.need = Some(Box::new(Need { written: written.clone(), wait_until }));
        }
        None => {}
    }
    let mut reply = answer::dispatch(exchange, destination, outbound).await?;
    let (status, headers) = reply.head_mut();
    let wrote = headers.remove(WROTE).and_then(|value| value.to_str().ok()?.parse().ok());
    if writes && (status.is_success() || status.is_redirection() || wrote.is_some()) {
        let now = cookie::millis(worker.clock.wall());
        let mut written = known.unwrap_or_default();
        match wrote {
            Some(position) => {
                // What was written before without a position may be found nowhere else.
                let blind = written.until_ms > now && written.positions.is_empty();
                let window = if blind { rule.window } else { rule.position_window };
                if !blind {
                    written.add(position);
                }
                written.until_ms = now + window;
            }
            None => written = Written { until_ms: now + rule.window, positions: Vec::new() },
        }
        set(headers, rule, &cookie::sign(&signer.0, &rule.primary, &written), written.until_ms - now);
    }
    Ok(reply)
}

/// Notes that no endpoint had what the client wrote.
pub(crate) fn to_primary(exchange: &mut Exchange, destination: &mut Destination) -> Result<(), Failure> {
    exchange.need = None;
    exchange.note(What::ToPrimary);
    destination.turn(Via::Primary)
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(of, _)| *of == name).map(|(_, value)| value)
}

fn set(headers: &mut HeaderMap, rule: &OwnWrites, value: &str, lasts_ms: u64) {
    let seconds = lasts_ms.div_ceil(1_000);
    let cookie = format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax", rule.cookie);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

impl Reply {
    pub(crate) fn head_mut(&mut self) -> (StatusCode, &mut HeaderMap) {
        match self {
            Reply::Endpoint(answer) => (answer.response.status(), answer.response.headers_mut()),
            Reply::Cached(cached) => (cached.response.status(), cached.response.headers_mut()),
            Reply::Recorded(recorded) => (recorded.response.status(), recorded.response.headers_mut()),
        }
    }
}
