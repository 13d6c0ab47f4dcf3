//! One order, from the account to the certificate (RFC 8555, 7.4). It is kept on disk from the moment in which the authority
//! has taken it: a process that is killed in between goes on with the same order and the same key, and costs the account
//! nothing of its limits.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use net::tls::Certificate;

use crate::account::Accounts;
use crate::config::{AcmeConfig, ChallengeKind};
use crate::desk::{Answer, Desk};
use crate::error::{self, AcmeError};
use crate::folder::{Folder, OpenOrder};
use crate::keys;

/// What all orders share.
pub(crate) struct Orders {
    pub(crate) config: AcmeConfig,
    pub(crate) folder: Folder,
    pub(crate) desk: Arc<Desk>,
    pub(crate) accounts: Accounts,
}

impl Orders {
    /// Obtains a certificate for `host` and keeps it on disk. `failures`: of its orders before this one.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn obtain(&self, host: &str, failures: u32) -> Result<Certificate, AcmeError> {
        let obtaining = tokio::time::timeout(self.config.order_timeout(), self.try_obtain(host, failures));
        let obtained = obtaining.await.unwrap_or(Err(AcmeError::TimedOut));
        match &obtained {
            Err(error) if error.is_account_unknown() => {
                self.accounts.forget().await?;
                self.on_disk(host, |folder, host| folder.forget_order(host)).await?;
            }
            Err(AcmeError::Unreachable(_)) => self.accounts.look_again().await,
            _ => {}
        }
        obtained
    }

    async fn try_obtain(&self, host: &str, failures: u32) -> Result<Certificate, AcmeError> {
        let account = self.accounts.account().await?;
        let (mut order, key) = self.open(&account, host).await?;
        let obtained = self.bring_to_end(&mut order, host, &key, failures).await;
        if obtained.as_ref().is_err_and(ends_order) {
            self.on_disk(host, |folder, host| folder.forget_order(host)).await?;
        }
        let (chain, certificate) = obtained?;
        self.on_disk(host, move |folder, host| folder.keep_certificate(host, &key, &chain)).await?;
        Ok(certificate)
    }

    /// The order that was left open, or a new one; and the key for it.
    async fn open(&self, account: &Account, host: &str) -> Result<(Order, String), AcmeError> {
        match self.folder.open_order(host) {
            Ok(Some(OpenOrder { url, key })) => match account.order(url).await.map_err(AcmeError::from) {
                Ok(mut order) => {
                    if order.state().status != OrderStatus::Invalid {
                        return Ok((order, key));
                    }
                }
                Err(AcmeError::Refused { kind, .. }) if kind != "accountDoesNotExist" => {}
                Err(error) => return Err(error),
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(host, %error, "the order that was open is begun anew"),
        }
        let identifiers = [Identifier::Dns(host.into())];
        let order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let key = keys::generate()?;
        let kept = OpenOrder { url: order.url().into(), key: key.clone() };
        self.on_disk(host, move |folder, host| folder.keep_order(host, &kept)).await?;
        Ok((order, key))
    }

    /// Shows that the host is ours, asks for the certificate, waits for it; the chain in PEM form, and as it is served.
    async fn bring_to_end(
        &self,
        order: &mut Order,
        host: &str,
        key: &str,
        failures: u32,
    ) -> Result<(String, Certificate), AcmeError> {
        let patience = RetryPolicy::new()
            .initial_delay(Duration::from_millis(250))
            .backoff(1.5)
            .timeout(self.config.order_timeout());
        if order.state().status == OrderStatus::Pending {
            let _answers = self.prove(order, host, failures).await?;
            match order.poll_ready(&patience).await {
                Ok(OrderStatus::Ready) => {}
                Ok(_) => return Err(why_not(order).await.unwrap_or(AcmeError::NotOurs("no reason given".into()))),
                Err(error @ Error::Api(_)) => return Err(why_not(order).await.unwrap_or(error.into())),
                Err(error) => return Err(error.into()),
            }
        }
        if order.state().status == OrderStatus::Ready {
            order.finalize_csr(&keys::request(host, key)?).await?;
        }
        let chain = match order.state().status {
            OrderStatus::Valid => order.certificate().await?.ok_or(AcmeError::TimedOut)?,
            _ => order.poll_certificate(&patience).await?,
        };
        let certificate = Certificate::from_pem(host, chain.as_bytes(), key.as_bytes())?;
        if certificate.names().iter().all(|name| name != host) {
            return Err(AcmeError::OtherHost(certificate.names().join(", ")));
        }
        Ok((chain, certificate))
    }

    /// Answers a challenge for each name that the authority wants to see, and tells it so. The answers hold until they are
    /// dropped.
    async fn prove(&self, order: &mut Order, host: &str, failures: u32) -> Result<Vec<Answer>, AcmeError> {
        let mut answers = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => return Err(AcmeError::NotOurs(format!("its authorization is {other:?}"))),
            }
            let offered: Vec<ChallengeType> = authorization.challenges.iter().map(|one| one.r#type.clone()).collect();
            let kind = kinds(self.config.challenge, failures).into_iter().find(|kind| offered.contains(kind));
            let kind = kind.ok_or_else(|| AcmeError::NoChallenge(format!("{offered:?}")))?;
            let is_http = kind == ChallengeType::Http01;
            let Some(mut challenge) = authorization.challenge(kind) else { continue };
            let said = challenge.key_authorization();
            if is_http {
                let answer = self.desk.answer_http(&challenge.token, said.as_str());
                answers.push(answer.ok_or_else(|| AcmeError::Unreachable("its token is none".into()))?);
            } else {
                let mut digest = [0; 32];
                digest.copy_from_slice(said.digest().as_ref());
                let (chain, key) = keys::challenge_certificate(host, &digest)?;
                answers.push(self.desk.answer_tls(host, &chain, &key)?);
            }
            // One that was told before the process was killed looks already.
            if challenge.status == ChallengeStatus::Pending {
                challenge.set_ready().await?;
            }
        }
        Ok(answers)
    }

    /// Runs what waits for the disk where it holds up nobody.
    async fn on_disk(
        &self,
        host: &str,
        work: impl FnOnce(&Folder, &str) -> Result<(), AcmeError> + Send + 'static,
    ) -> Result<(), AcmeError> {
        let (folder, host) = (self.folder.clone(), host.to_string());
        let worked = tokio::task::spawn_blocking(move || work(&folder, &host)).await;
        let path = self.folder.path().to_path_buf();
        worked.unwrap_or_else(|error| Err(AcmeError::Disk { path, source: std::io::Error::other(error) }))
    }
}

/// The challenges that may be answered, the best first.
fn kinds(allowed: ChallengeKind, failures: u32) -> Vec<ChallengeType> {
    let both = [ChallengeType::Http01, ChallengeType::TlsAlpn01];
    match allowed {
        ChallengeKind::Http01 => both[..1].into(),
        ChallengeKind::TlsAlpn01 => both[1..].into(),
        ChallengeKind::Auto if failures.is_multiple_of(2) => both.into(),
        ChallengeKind::Auto => both.into_iter().rev().collect(),
    }
}

/// Whether nothing can come of the order any more.
fn ends_order(error: &AcmeError) -> bool {
    match error {
        AcmeError::Unreachable(_) | AcmeError::TimedOut | AcmeError::Disk { .. } => false,
        AcmeError::Refused { kind, .. } => !["badNonce", "rateLimited", "serverInternal"].contains(&kind.as_str()),
        AcmeError::NotOurs(_)
        | AcmeError::NoChallenge(_)
        | AcmeError::Unusable(_)
        | AcmeError::OtherHost(_)
        | AcmeError::Key(_) => true,
    }
}

/// What the authority did not like about the host; `None` when it does not say.
async fn why_not(order: &mut Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(AcmeError::NotOurs(error::detail(problem)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenges_take_turns_after_a_failure() {
        let (http, tls) = (ChallengeType::Http01, ChallengeType::TlsAlpn01);
        assert_eq!(kinds(ChallengeKind::Auto, 0), [http.clone(), tls.clone()]);
        assert_eq!(kinds(ChallengeKind::Auto, 1), [tls.clone(), http.clone()]);
        assert_eq!(kinds(ChallengeKind::Http01, 1), [http]);
        assert_eq!(kinds(ChallengeKind::TlsAlpn01, 2), [tls]);
    }

    #[test]
    fn an_order_outlives_what_passes() {
        let refused = |kind: &str| AcmeError::Refused { kind: kind.into(), detail: String::new() };
        assert!(!ends_order(&AcmeError::TimedOut) && !ends_order(&refused("rateLimited")));
        assert!(ends_order(&refused("malformed")) && ends_order(&AcmeError::NotOurs(String::new())));
        assert!(refused("rateLimited").is_limit() && refused("accountDoesNotExist").is_account_unknown());
    }
}
