//! The certificates as operators see them.

use std::sync::atomic::Ordering::Relaxed;

use acme::HostRow;
use control::metrics::{Exposition, Kind};
use control::wire::certificates::CertificateRow;
use net::tls::{Certificate, Validity};

use crate::handle::Handle;

/// Certificates with series of their own.
const CERTIFICATES_MAX: usize = 500;

impl Handle {
    /// The certificates that HTTPS is served with, and those that are asked for.
    #[must_use]
    pub fn certificate_rows(&self) -> Vec<CertificateRow> {
        let (edge, now_ms) = (&self.shared.edge, self.clock.wall().millis());
        let of_files = edge.tls.as_ref().map(|tls| tls.certificates.of_files()).unwrap_or_default();
        let mut rows: Vec<CertificateRow> = of_files
            .iter()
            .map(|(files, one)| CertificateRow {
                names: one.names().to_vec(),
                source: "file".into(),
                file: Some(files.chain.display().to_string()),
                ..row(now_ms, Some(one.validity()), Some(one))
            })
            .collect();
        let asked = edge.acme.as_ref().map(|acme| acme.desk.rows());
        rows.extend(asked.iter().flat_map(|rows| rows.iter()).map(|host| of_host(now_ms, host)));
        rows
    }

    /// When certificates end, and what becomes of orders.
    pub(crate) fn of_certificates(&self, page: &mut Exposition) {
        let rows = self.certificate_rows();
        let label = |row: &CertificateRow| row.names.first().cloned().unwrap_or_default();
        let help = "When a certificate ends, in seconds since 1970; its first name tells which it is.";
        let mut family = page.family("forebay_tls_certificate_expiry_seconds", Kind::Gauge, help);
        for row in rows.iter().take(CERTIFICATES_MAX) {
            if let Some(ms) = row.not_after_ms {
                family.sample(&[("name", &label(row)), ("source", &row.source)], ms / 1_000);
            }
        }
        let help = "Orders that failed since the last one that did not.";
        let mut family = page.family("forebay_tls_certificate_failures", Kind::Gauge, help);
        for row in rows.iter().filter(|row| row.source == "acme").take(CERTIFICATES_MAX) {
            family.sample(&[("name", &label(row))], row.failures);
        }
        let mut family = page.family("forebay_acme_orders_total", Kind::Counter, "Orders that came to their end.");
        if let Some(acme) = &self.shared.edge.acme {
            family.sample(&[("outcome", "obtained")], acme.desk.obtained.load(Relaxed));
            family.sample(&[("outcome", "failed")], acme.desk.failed.load(Relaxed));
        }
    }
}

fn of_host(now_ms: u64, host: &HostRow) -> CertificateRow {
    CertificateRow {
        names: vec![host.host.clone()],
        source: "acme".into(),
        ordering: host.is_ordering,
        next_attempt_ms: host.next_ms.filter(|_| !host.is_ordering),
        failures: host.failures,
        last_error: host.last_error.clone(),
        ..row(now_ms, host.validity, None)
    }
}

fn row(now_ms: u64, validity: Option<Validity>, certificate: Option<&Certificate>) -> CertificateRow {
    let ms = validity.map(|of| (of.from_s.saturating_mul(1_000), of.until_s.saturating_mul(1_000)));
    CertificateRow {
        names: Vec::new(),
        source: String::new(),
        file: None,
        state: ms.map_or("missing", |(from, until)| CertificateRow::state_at(now_ms, from, until)).into(),
        not_before_ms: ms.map(|(from, _)| from),
        not_after_ms: ms.map(|(_, until)| until),
        stapled: certificate.is_some_and(Certificate::is_stapled),
        must_staple: certificate.is_some_and(Certificate::must_staple),
        ordering: false,
        next_attempt_ms: None,
        failures: 0,
        last_error: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_ends_before_it_is_over() {
        let state = |now_s: u64| row(now_s * 1_000, Some(Validity { from_s: 0, until_s: 600 }), None).state;
        assert_eq!([0, 500, 501, 599, 600, 700].map(state), ["good", "good", "ending", "ending", "over", "over"]);
        assert_eq!(row(0, None, None).state, "missing");
    }
}
