//! Renewals when the authority advises them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use acme::Desk;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use testkit::FakeClock;

use crate::rig::{Hosts, authority, run, until};

/// Keeps a certificate of 2026 for `a.example` and an account, as a process before this one did.
fn keep(folder: &Path, directory: &str) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a.example".into()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2025, 12, 1), date_time_ymd(2026, 12, 1));
    params.use_authority_key_identifier_extension = true;
    let chain = params.signed_by(&key, &issuer).unwrap().pem();
    let host = folder.join("hosts/a.example");
    std::fs::create_dir_all(&host).unwrap();
    std::fs::write(host.join("certificate.pem"), key.serialize_pem() + &chain).unwrap();
    let account = stdx::base64::encode(&KeyPair::generate().unwrap().serialize_der());
    let account = account.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let text = format!("{{\"id\":\"{directory}/1\",\"key_pkcs8\":\"{account}\",\"directory\":\"{directory}\"}}");
    std::fs::write(folder.join("account.json"), text).unwrap();
}

#[test]
fn a_certificate_is_renewed_when_the_authority_wants_it() {
    // The clock stands at 2026-01-01.
    for (advice, orders) in [
        (r#"{"suggestedWindow":{"start":"2025-12-30T00:00:00Z","end":"2025-12-31T00:00:00Z"}}"#, 1),
        (r#"{"suggestedWindow":{"start":"2026-02-01T00:00:00Z","end":"2026-02-02T00:00:00Z"}}"#, 0),
    ] {
        run(async {
            let root = tempfile::tempdir().unwrap();
            let (config, heard) = authority(root.path(), Some(advice)).await;
            let (clock, desk) = (FakeClock::new(), Arc::new(Desk::new().unwrap()));
            let folder = root.path().join("acme");
            assert!(acme::kept(&config, &folder, &clock.shared()).unwrap().is_empty());
            let of_authority = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
            keep(&of_authority, &config.directory);
            assert_eq!(acme::kept(&config, &folder, &clock.shared()).unwrap().len(), 1);
            let hosts = Hosts(&["a.example"]);
            let _running = acme::run(config, &folder, Arc::clone(&desk), hosts, clock.shared()).unwrap();
            until("it is asked", || heard.advised.load(SeqCst) == 1).await;
            let february = 1_769_904_000_000..=1_769_990_400_000;
            let follows = || desk.rows().iter().any(|row| row.next_ms.is_some_and(|ms| february.contains(&ms)));
            until("it is followed", || heard.turned_away.load(SeqCst) == 1 || follows()).await;
            assert_eq!(heard.turned_away.load(SeqCst), orders, "{advice}");
        });
    }
}
