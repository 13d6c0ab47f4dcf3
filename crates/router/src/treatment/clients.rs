//! Who may ask.

use std::net::IpAddr;

use crate::config::ClientsConfig;
use crate::peers::TrustedPeers;

/// `clients` of a route.
#[derive(Debug)]
pub(crate) struct Clients {
    /// Absent: everybody.
    allow: Option<TrustedPeers>,
    /// Absent: everybody, because what was written cannot be read. The configuration refuses that before.
    deny: Option<TrustedPeers>,
}

impl Clients {
    pub(super) fn of(config: &ClientsConfig) -> Clients {
        let allow = (!config.allow.is_empty()).then(|| TrustedPeers::parse(&config.allow).unwrap_or_default());
        Clients { allow, deny: TrustedPeers::parse(&config.deny).ok() }
    }

    pub(crate) fn may_ask(&self, client: IpAddr) -> bool {
        let denied = self.deny.as_ref().is_none_or(|deny| deny.contains(client));
        !denied && self.allow.as_ref().is_none_or(|allow| allow.contains(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(allow: &[&str], deny: &[&str], client: &str) -> bool {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
        Clients::of(&ClientsConfig { allow: list(allow), deny: list(deny) }).may_ask(client.parse().unwrap())
    }

    #[test]
    fn what_is_denied_is_denied_and_what_is_not_allowed_too() {
        assert!(may(&[], &[], "192.0.2.1"));
        assert!(may(&["192.0.2.0/24"], &[], "192.0.2.1"));
        assert!(!may(&["192.0.2.0/24"], &[], "198.51.100.1"));
        assert!(!may(&["192.0.2.0/24"], &["192.0.2.1"], "192.0.2.1"));
        assert!(!may(&[], &["2001:db8::/32"], "2001:db8::1"));
        assert!(may(&["192.0.2.0/24"], &[], "::ffff:192.0.2.1"), "an IPv4 address however it is written");
    }

    #[test]
    fn a_list_that_cannot_be_read_lets_nobody_in() {
        assert!(!may(&["nonsense"], &[], "192.0.2.1"));
        assert!(!may(&[], &["nonsense"], "192.0.2.1"));
    }
}
