//! Secrets: set, listed without values, given as files, brought back by a rollback.

use axum::body::Body;
use control::error::Kind;
use control::wire::{Listing, SecretRow};
use deploy::AtStop;
use http::Method;

use crate::rig::Rig;

const SHOW: &str = "secret API_KEY\nworker 1 worker cat $FOREBAY_SECRETS/API_KEY; echo; sleep 1000";

async fn set(rig: &Rig, value: &str) {
    rig.call(Method::PUT, "/v1/apps/shop/secrets/API_KEY", Body::from(value.to_string())).await.unwrap();
}

#[tokio::test]
async fn an_instance_reads_its_secret_and_a_rollback_brings_the_old_value_back() {
    let mut rig = Rig::new().await;
    let source = rig.source(SHOW, &[]);
    let error = rig.deploy(&source).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Usage, "secret_missing"));
    assert_eq!(error.hint.as_deref(), Some("forebay secrets set shop API_KEY"));

    set(&rig, "first").await;
    rig.deploy(&source).await.unwrap();
    set(&rig, "second").await;
    rig.deploy(&source).await.unwrap();
    rig.change("/v1/apps/shop/rollback", Body::empty()).await.unwrap();
    assert_eq!(rig.log.said(), ["first", "second", "first"]);

    let rows: Listing<SecretRow> = rig.get("/v1/apps/shop/secrets").await;
    assert_eq!(rows.items.iter().map(|row| (row.key.as_str(), row.version)).collect::<Vec<_>>(), [("API_KEY", 2)]);
    rig.call(Method::DELETE, "/v1/apps/shop/secrets/API_KEY", Body::empty()).await.unwrap();
    let error = rig.call(Method::DELETE, "/v1/apps/shop/secrets/API_KEY", Body::empty()).await.unwrap_err();
    assert_eq!(error.code, "secret_not_found");
    let long = Body::from("x".repeat(65_537));
    let error = rig.call(Method::PUT, "/v1/apps/shop/secrets/API_KEY", long).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    let error = rig.call(Method::PUT, "/v1/apps/shop/secrets/A%2FB", Body::from("x")).await.unwrap_err();
    assert_eq!(error.code, "secret_key_malformed");
    rig.stop(AtStop::StopInstances).await;
}
