//! An application's secrets: their values come in and never go out.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use control::error::{ApiError, Kind};
use control::wire::{Listing, SecretRow};
use state::Sensitive;
use state::audit::AuditRow;
use stdx::ids::Scope;

use super::{Asked, Who, name, small, usage};
use crate::errors::of_state;
use crate::node::Handle;

/// Bytes of a secret's value.
const SECRET_BYTES_MAX: usize = 64 << 10;
/// Characters of a secret's key.
const SECRET_KEY_MAX: usize = 100;

pub(super) async fn list(
    State(handle): State<Handle>,
    Path(app): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Listing<SecretRow>>, ApiError> {
    let rows = handle.node.store.secrets(asked.scope(&app)?).await.map_err(|e| of_state(&e))?;
    let row = |row: state::secrets::SecretRow| SecretRow { key: row.key, version: row.version, set_ns: row.created.0 };
    Ok(Json(Listing::new(rows.into_iter().map(row).collect())))
}

pub(super) async fn put(
    State(handle): State<Handle>,
    who: Who,
    Path((app, key)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    body: Body,
) -> Result<Json<SecretRow>, ApiError> {
    let scope = asked.scope(&app)?;
    check_key(&key)?;
    let value = Sensitive::new(small(body, SECRET_BYTES_MAX).await?.to_vec());
    let now = handle.node.clock.wall();
    let stored = handle.node.store.secret_put(scope.clone(), key.clone(), value, now).await.map_err(|e| of_state(&e));
    audit(&handle, who, "secret_set", &scope, &key, stored.as_ref().err()).await;
    Ok(Json(SecretRow { version: stored?, key, set_ns: now.0 }))
}

pub(super) async fn remove(
    State(handle): State<Handle>,
    who: Who,
    Path((app, key)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<SecretRow>, ApiError> {
    let scope = asked.scope(&app)?;
    let now = handle.node.clock.wall();
    let removed = handle.node.store.secret_remove(scope.clone(), key.clone(), now).await.map_err(|e| of_state(&e));
    let missing = || ApiError::new(Kind::NotFound, "secret_not_found", format!("{scope} has no secret {key}"));
    let removed = removed.and_then(|version| version.ok_or_else(missing));
    audit(&handle, who, "secret_remove", &scope, &key, removed.as_ref().err()).await;
    Ok(Json(SecretRow { version: removed?, key, set_ns: now.0 }))
}

async fn audit(handle: &Handle, who: Who, what: &str, scope: &Scope, target: &str, error: Option<&ApiError>) {
    let row = AuditRow {
        time: handle.node.clock.wall(),
        who: name(who),
        what: what.into(),
        scope: Some(scope.clone()),
        target: target.into(),
        outcome: error.map_or_else(|| "ok".into(), |error| error.code.clone()),
    };
    if let Err(error) = handle.node.store.audit(row).await {
        tracing::error!(%scope, what, %error, "the audit row is not written");
    }
}

/// A key is a variable's and a file's name.
fn check_key(key: &str) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let ok = (1..=SECRET_KEY_MAX).contains(&key.len()) && key.bytes().all(plain) && !key.as_bytes()[0].is_ascii_digit();
    if ok {
        Ok(())
    } else {
        Err(usage("secret_key_malformed", format!("`{key}` cannot be the key of a secret"))
            .hint("use 1 to 100 letters, digits and '_', not beginning with a digit"))
    }
}
