//! The table `tokens`: one queue token per application and environment. It is looked up by its hash and kept
//! encrypted, since every instance is given it.

use std::collections::HashMap;
use std::sync::PoisonError;

use aws_lc_rs::{digest, rand};
use rusqlite::{Connection, OptionalExtension, params};
use stdx::clock::Wall;
use stdx::ids::Scope;

use crate::key::{KeyRing, hex};
use crate::row::{self, Outcome, stored};
use crate::seal::{Sealed, Sensitive};
use crate::{StateError, Store};

const TOKEN_BYTES: usize = 32;

/// Hash of each token to its scope, in memory, so that the queue asks without a wait.
#[derive(Default)]
pub(crate) struct TokenIndex(HashMap<[u8; 32], Scope>);

impl TokenIndex {
    pub(crate) fn load(conn: &Connection) -> Outcome<TokenIndex> {
        let mut all = conn.prepare("SELECT app, env, hash FROM tokens WHERE kind = 'queue'")?;
        let rows = all.query_map([], |row| Ok(row::scope(row).and_then(|scope| Ok((row.get("hash")?, scope)))))?;
        Ok(TokenIndex(rows.map(|found| found?).collect::<Outcome<_>>()?))
    }
}

impl Store {
    /// Whose token this is. It is found by its SHA-256, so the time that it takes tells nothing of other tokens.
    pub fn queue_scope(&self, token: &str) -> Option<Scope> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).0.get(&hash(token.as_bytes())).cloned()
    }

    /// The queue token of an application; made when there is none yet. 64 hex digits.
    ///
    /// # Errors
    /// When the key for secrets is lost or wrong, or the store fails.
    pub async fn queue_token(&self, scope: Scope, now: Wall) -> Outcome<Sensitive> {
        self.call(move |db| {
            let seal = db.keys.seal(&db.conn)?;
            if let Some(sealed) = find(&db.conn, &scope)? {
                return seal.open(&place(&scope), &sealed).map_err(|_| KeyRing::damaged("a queue token"));
            }
            let refused = || StateError::Corrupt("the crypto provider refuses to encrypt".into());
            let token = fresh().ok_or_else(refused)?;
            let sealed = seal.close(&place(&scope), token.expose()).map_err(|_| refused())?;
            let hash = hash(token.expose());
            db.conn.execute(
                "INSERT INTO tokens (kind, app, env, hash, nonce, ciphertext, created_ns) VALUES ('queue', ?1, ?2, ?3, ?4, ?5, ?6)",
                params![scope.app.as_str(), scope.env.as_str(), hash, sealed.nonce, sealed.ciphertext, stored(now.0)],
            )?;
            db.tokens.write().unwrap_or_else(PoisonError::into_inner).0.insert(hash, scope);
            Ok(token)
        })
        .await
    }
}

fn fresh() -> Option<Sensitive> {
    let mut bytes = [0u8; TOKEN_BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(Sensitive::new(hex(&bytes).into_bytes()))
}

fn hash(token: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token).as_ref());
    hash
}

fn place(scope: &Scope) -> String {
    format!("token/queue/{scope}")
}

fn find(conn: &Connection, scope: &Scope) -> Outcome<Option<Sealed>> {
    let found = conn
        .query_row(
            "SELECT nonce, ciphertext FROM tokens WHERE kind = 'queue' AND app = ?1 AND env = ?2",
            params![scope.app.as_str(), scope.env.as_str()],
            |row| Ok(Sealed { nonce: row.get(0)?, ciphertext: row.get(1)? }),
        )
        .optional()?;
    Ok(found)
}
