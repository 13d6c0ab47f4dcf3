//! Names that key everything: (application, environment) is the scope of state, records, tubes, secrets and metrics.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a valid {what}: use 1 to {length_max} of a-z, 0-9 and '-', beginning with a letter and not ending in '-'"
)]
pub struct NameError {
    what: &'static str,
    given: String,
    length_max: usize,
}

/// A DNS-label-like name: what is valid here is valid in a host name, a folder, a metric label and a URL.
fn check(what: &'static str, text: &str) -> Result<(), NameError> {
    const LENGTH_MAX: usize = 40;
    let bytes = text.as_bytes();
    let ok = (1..=LENGTH_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if ok {
        Ok(())
    } else {
        let given = text.chars().take(64).collect();
        Err(NameError { what, given, length_max: LENGTH_MAX })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and keeps a name.
            ///
            /// # Errors
            /// When `text` is not 1 to 40 of `a-z0-9-`, beginning with a letter and not ending in a hyphen.
            pub fn new(text: &str) -> Result<$name, NameError> {
                check($what, text)?;
                Ok($name(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<$name, NameError> {
                $name::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<$name, D::Error> {
                let text = String::deserialize(d)?;
                $name::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of an application, unique on a node.
    AppName,
    "application name"
);
name!(
    /// The name of an environment of an application: `production`, `staging`.
    EnvName,
    "environment name"
);
name!(
    /// The name of a process type of an application: `web`, `worker`.
    ProcessName,
    "process name"
);

impl EnvName {
    /// The environment that is meant when none is named.
    pub fn production() -> EnvName {
        EnvName("production".into())
    }
}

/// What everything is keyed by: one application in one environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The application.
    pub app: AppName,
    /// Its environment.
    pub env: EnvName,
}

impl Scope {
    /// The scope of `app` in the environment `production`.
    pub fn production(app: AppName) -> Scope {
        Scope { app, env: EnvName::production() }
    }
}

impl fmt::Display for Scope {
    /// `shop/production`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.env)
    }
}

impl FromStr for Scope {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Scope, NameError> {
        match text.split_once('/') {
            Some((app, env)) => Ok(Scope { app: app.parse()?, env: env.parse()? }),
            None => Ok(Scope::production(text.parse()?)),
        }
    }
}

/// The number of a release: 1, 2, 3 ... per scope, shown as `v3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNo(pub u32);

impl fmt::Display for ReleaseNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("v{}", self.0))
    }
}

/// One run of one process, never reused on a node; shown as `web.17`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId {
    /// The process type.
    pub process: ProcessName,
    /// Counts up per node, so that no two runs share an id.
    pub serial: u64,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.process, self.serial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        assert_eq!(AppName::new("shop-2").unwrap().as_str(), "shop-2");
        for bad in ["", "-a", "a-", "2a", "Shop", "a_b", "a/b", "..", &"a".repeat(41)] {
            assert!(AppName::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_scope_reads_back_what_it_prints() {
        let scope: Scope = "shop/staging".parse().unwrap();
        assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
        assert_eq!("shop".parse::<Scope>().unwrap().to_string(), "shop/production");
    }
}
