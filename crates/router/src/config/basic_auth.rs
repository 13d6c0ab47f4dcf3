//! Routes for named users.

use std::collections::HashSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TreatmentFault;

/// Users that one route may name.
pub const USERS_MAX: usize = 1_000;
/// The dearest hash that is compared: each step up doubles the time, and this one takes about a second.
const COST_MAX: u8 = 14;

/// Whose requests a route takes: those that come with the name and password of a user (RFC 7617); others get 401.
/// The application reads who it is in `Forebay-User`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuthConfig {
    /// What browsers show beside the question for the password.
    #[schemars(length(min = 1, max = 100))]
    pub realm: String,
    /// Lines `NAME:HASH` with bcrypt hashes, as `htpasswd -nB NAME` writes them.
    #[schemars(length(max = 1_000))]
    pub users: Vec<User>,
    /// A file of such lines; empty ones and those that begin with `#` do not count. It is read with the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users_file: Option<String>,
}

impl Default for BasicAuthConfig {
    fn default() -> BasicAuthConfig {
        BasicAuthConfig { realm: "restricted".into(), users: Vec::new(), users_file: None }
    }
}

/// A name and the hash of a password. `Debug` shows the name alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct User(String);

impl User {
    /// A line `NAME:HASH`; [`User::parts`] says whether it is one.
    pub fn line(line: &str) -> User {
        User(line.into())
    }

    /// The name and the hash.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn parts(&self) -> Result<(&str, &str), &'static str> {
        let (name, hash) =
            self.0.split_once(':').ok_or("a user is a line `NAME:HASH`, as `htpasswd -nB NAME` writes it")?;
        if name.is_empty() || name.len() > 255 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("a user's name has from 1 to 255 bytes and no spaces");
        }
        if !is_bcrypt(hash) {
            return Err("only bcrypt hashes are compared: write what `htpasswd -nB NAME` says");
        }
        Ok((name, hash))
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.split_once(':').map_or("?", |(name, _)| name);
        f.debug_tuple("User").field(&name).finish_non_exhaustive()
    }
}

/// `$2y$10$` and 53 characters, with a cost that is not out of all proportion.
fn is_bcrypt(hash: &str) -> bool {
    let Some(rest) = ["$2y$", "$2b$", "$2a$"].iter().find_map(|kind| hash.strip_prefix(kind)) else { return false };
    let Some((cost, digits)) = rest.split_once('$') else { return false };
    let is_cost = cost.len() == 2 && cost.parse::<u8>().is_ok_and(|cost| (4..=COST_MAX).contains(&cost));
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    is_cost && digits.len() == 53 && digits.bytes().all(is_digit)
}

impl BasicAuthConfig {
    /// What is wrong with it.
    pub fn faults(&self) -> Vec<TreatmentFault> {
        let fault = |at: &[&str], what| TreatmentFault { at: at.iter().map(|key| (*key).into()).collect(), what };
        let mut faults = Vec::new();
        if self.realm.is_empty() || !self.realm.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\') {
            faults.push(fault(&["realm"], "a realm is printable ASCII without `\"` and `\\`"));
        }
        if self.users.is_empty() && self.users_file.is_none() {
            faults.push(fault(&[], "it names no user: nobody could ask"));
        }
        if self.users.len() > USERS_MAX {
            faults.push(fault(&["users"], "a route has up to 1000 users"));
        }
        let mut names = HashSet::new();
        for user in &self.users {
            match user.parts() {
                Err(what) => faults.push(fault(&["users"], what)),
                Ok((name, _)) if !names.insert(name) => faults.push(fault(&["users"], "a user is there twice")),
                Ok(_) => {}
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$04$abcdefghijklmnopqrstuu5s2BqWEp3pUUYUpJmLjVbwGQ4RjLp3u";

    fn faults(users: &[String]) -> Vec<&'static str> {
        let users = users.iter().map(|line| User::line(line)).collect();
        BasicAuthConfig { users, ..BasicAuthConfig::default() }.faults().iter().map(|fault| fault.what).collect()
    }

    #[test]
    fn what_is_no_user_is_told() {
        assert_eq!(faults(&[format!("ann:{HASH}"), format!("bob:{HASH}")]), Vec::<&str>::new());
        assert_eq!(faults(&[]), ["it names no user: nobody could ask"]);
        assert_eq!(faults(&[format!("ann:{HASH}"), format!("ann:{HASH}")]), ["a user is there twice"]);
        for line in ["ann", ":x", "ann:secret", "ann:$apr1$x$y", "ann:{SHA}x", "ann:$2y$31$abc"] {
            assert_eq!(faults(&[line.into()]).len(), 1, "{line}");
        }
        let dear = HASH.replace("$04$", "$20$");
        assert_eq!(faults(&[format!("ann:{dear}")]).len(), 1);
        let realm = BasicAuthConfig {
            realm: "a\"b".into(),
            users: vec![User::line(&format!("a:{HASH}"))],
            ..Default::default()
        };
        assert_eq!(realm.faults()[0].at, ["realm"]);
    }

    #[test]
    fn no_hash_is_shown() {
        let shown = format!("{:?}", User::line(&format!("ann:{HASH}")));
        assert!(shown.contains("ann") && !shown.contains("2y"), "{shown}");
    }
}
