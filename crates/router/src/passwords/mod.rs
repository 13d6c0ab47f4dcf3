//! Users of a route, by name and password (RFC 7617).
//!
//! A hash that is worth comparing takes a tenth of a second: it is compared on threads of its own, few at a time, while a
//! bounded number of requests wait. What was right once is remembered, as a digest under a key of this process, so that only
//! the first of a user's requests waits.

mod known;
mod sent;
mod users;

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use tokio::sync::Semaphore;

pub(crate) use self::users::Users;

use self::known::{Digest, Digester, Known};
use self::sent::Sent;
use crate::config::Config;
use crate::exchange::Exchange;
use crate::rescue::Failure;

/// What all routes' users share.
#[derive(Debug)]
pub(crate) struct Passwords {
    /// Places for requests whose password is compared, or that wait for that.
    seats: Semaphore,
    compared: Arc<Semaphore>,
    digester: Digester,
    known: Mutex<Known>,
}

impl Passwords {
    pub(crate) fn new(config: &Config) -> Passwords {
        let (compared, waiting) = (config.password_checks_max as usize, config.password_waits_max as usize);
        Passwords {
            seats: Semaphore::new(compared + waiting),
            compared: Arc::new(Semaphore::new(compared)),
            digester: Digester::new(),
            known: Mutex::default(),
        }
    }

    fn knows(&self, digest: &Digest) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).has(digest)
    }

    fn learn(&self, digest: Digest) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).add(digest);
    }
}

/// Whether a request comes from one of the users; if so the exchange knows who asks.
///
/// # Errors
/// When it does not, or too many wait to know.
pub(crate) async fn admit(exchange: &mut Exchange, users: &Users, headers: &HeaderMap) -> Result<(), Failure> {
    let sent = Sent::of(headers).ok_or(Failure::NoPassword)?;
    let name = users.value(sent.name()).ok_or(Failure::NoPassword)?;
    let (hash, is_user) = users.hash(sent.name());
    let worker = Rc::clone(&exchange.worker);
    let passwords = &worker.shared.passwords;
    let digest = passwords.digester.of(hash, sent.password());
    if !(is_user && passwords.knows(&digest)) {
        let _seat = passwords.seats.try_acquire().map_err(|_| Failure::PasswordsBusy)?;
        let left = exchange.time_left(worker.now())?;
        let turn = tokio::time::timeout(left, Arc::clone(&passwords.compared).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Failure::PasswordsBusy) };
        // Somebody may have been here for the same user meanwhile.
        if !(is_user && passwords.knows(&digest)) {
            let hash = Arc::clone(hash);
            let compared = tokio::task::spawn_blocking(move || {
                // Held for as long as the comparison lasts, whether or not anybody waits for it.
                let _turn = turn;
                bcrypt::verify(sent.password(), &hash).is_ok_and(|equal| equal)
            });
            if !compared.await.is_ok_and(|equal| equal && is_user) {
                return Err(Failure::WrongPassword);
            }
            passwords.learn(digest);
        }
    }
    exchange.user_is(name);
    Ok(())
}
