//! The account with the authority: the one that is kept, or a new one.

use instant_acme::{Account, ExternalAccountKey, NewAccount};
use stdx::base64;
use tokio::sync::Mutex;

use crate::config::{AcmeConfig, ExternalAccountConfig};
use crate::error::AcmeError;
use crate::folder::Folder;
use crate::http::Reach;

/// The account, asked for when it is first needed.
pub(crate) struct Accounts {
    config: AcmeConfig,
    folder: Folder,
    reach: Reach,
    known: Mutex<Option<Account>>,
}

impl Accounts {
    pub(crate) fn new(config: AcmeConfig, folder: Folder, reach: Reach) -> Accounts {
        Accounts { config, folder, reach, known: Mutex::new(None) }
    }

    /// The account. Orders that begin at once wait for the one that makes it.
    pub(crate) async fn account(&self) -> Result<Account, AcmeError> {
        let mut known = self.known.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let builder = Account::builder_with_http(Box::new(self.reach.clone()));
        let account = match self.folder.account()? {
            Some(kept) => builder.from_credentials(kept).await?,
            None => {
                let contact: Vec<String> = self.config.contact.iter().map(|mail| format!("mailto:{mail}")).collect();
                let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
                let new = NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: self.config.terms_agreed,
                    only_return_existing: false,
                };
                let external = self.config.external_account.as_ref().map(external).transpose()?;
                let made = builder.create(&new, self.config.directory.clone(), external.as_ref()).await?;
                self.folder.keep_account(&made.1)?;
                tracing::info!(directory = self.config.directory, "an account with the authority was made");
                made.0
            }
        };
        Ok(known.insert(account).clone())
    }

    /// The authority does not know it any more: the next order makes a new one.
    pub(crate) async fn forget(&self) -> Result<(), AcmeError> {
        if self.known.lock().await.take().is_some() {
            self.folder.set_account_aside()?;
        }
        Ok(())
    }

    /// Asks for the directory again at the next order: its addresses may have changed.
    pub(crate) async fn look_again(&self) {
        self.known.lock().await.take();
    }
}

fn external(config: &ExternalAccountConfig) -> Result<ExternalAccountKey, AcmeError> {
    let path = &config.key_file;
    let text = std::fs::read_to_string(path).map_err(|source| AcmeError::Disk { path: path.clone(), source })?;
    let key = of_base64url(text.trim());
    let key = key.ok_or_else(|| AcmeError::Key(format!("{} is not in base64url", path.display())))?;
    Ok(ExternalAccountKey::new(config.key_id.clone(), &key))
}

/// Base64 for addresses (RFC 4648, 5), with its padding or without.
fn of_base64url(text: &str) -> Option<Vec<u8>> {
    let mut plain = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    plain.extend(std::iter::repeat_n('=', (4 - plain.len() % 4) % 4));
    base64::decode(&plain)
}

#[cfg(test)]
mod tests {
    use super::of_base64url;

    #[test]
    fn a_key_is_read_as_authorities_give_it() {
        assert_eq!(of_base64url("_-8").as_deref(), Some(&[0xff, 0xef][..]));
        assert_eq!(of_base64url("_-8=").as_deref(), Some(&[0xff, 0xef][..]));
        assert_eq!((of_base64url("a"), of_base64url("a b=")), (None, None));
    }
}
