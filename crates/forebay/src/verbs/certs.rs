//! `forebay certs`: what HTTPS is served with.

use control::wire::Listing;
use control::wire::certificates::CertificateRow;
use stdx::clock::{Clock, SystemClock};

use crate::args::Global;
use crate::output::{self, Done};

pub(super) async fn run(global: &Global) -> Done {
    let rows: Listing<CertificateRow> = super::client(global)?.get("/v1/router/certificates").await?;
    let now_ms = SystemClock::new().wall().millis();
    let header = ["names", "source", "state", "not after", "ocsp", "next attempt", "last error"];
    Ok(output::listing(&rows, global.json, &header, |row| cells(row, now_ms))?)
}

fn cells(row: &CertificateRow, now_ms: u64) -> Vec<String> {
    let day = |ms: u64| output::local_time(ms.saturating_mul(1_000_000)).chars().take(10).collect::<String>();
    let left = |ms: u64| output::ago(ms.saturating_sub(now_ms) / 1_000);
    vec![
        row.names.join(" "),
        row.file.clone().unwrap_or_else(|| row.source.clone()),
        row.state.clone(),
        row.not_after_ms.map_or_else(|| "-".into(), |ms| format!("{} (in {})", day(ms), left(ms))),
        match (row.stapled, row.must_staple) {
            (true, _) => "stapled".into(),
            (false, true) => "wanted".into(),
            (false, false) => "-".into(),
        },
        match row.next_attempt_ms {
            _ if row.ordering => "now".into(),
            Some(ms) => format!("in {}", left(ms)),
            None => "-".into(),
        },
        row.last_error.as_ref().map_or_else(|| "-".into(), |error| format!("{error} ({}x)", row.failures)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_in_a_line() {
        let row = CertificateRow {
            names: vec!["shop.example".into(), "www.shop.example".into()],
            source: "acme".into(),
            file: None,
            state: "ending".into(),
            not_before_ms: Some(0),
            not_after_ms: Some(1_795_447_185_000),
            stapled: false,
            must_staple: true,
            ordering: false,
            next_attempt_ms: Some(1_795_400_060_000),
            failures: 3,
            last_error: Some("the authority cannot be asked: no answer".into()),
        };
        let said = cells(&row, 1_795_400_000_000);
        assert_eq!(said[0], "shop.example www.shop.example");
        assert!(said[3].starts_with("2026-11-2") && said[3].ends_with("(in 13h)"), "{said:?}");
        assert_eq!(said[4..], ["wanted", "in 1m", "the authority cannot be asked: no answer (3x)"]);
        let said = cells(&CertificateRow { ordering: true, last_error: None, not_after_ms: None, ..row }, 0);
        assert_eq!([&said[3], &said[5], &said[6]], ["-", "now", "-"]);
    }
}
