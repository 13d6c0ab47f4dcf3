//! Who calls the admin API: the owner of the local socket, or the holder of the bearer token on TCP.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::{constant_time, digest, rand};
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Who sent a request; handlers find it among the request's extensions and write it into the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A process on this machine that may open the node's socket.
    Local {
        /// Its user.
        uid: u32,
    },
    /// The holder of the admin token.
    Token,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Local { uid } => write!(f, "uid {uid}"),
            Caller::Token => f.write_str("admin token"),
        }
    }
}

/// The admin token, kept as its hash so that nothing can print it.
#[derive(Clone)]
pub struct AdminToken {
    hash: [u8; 32],
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

impl AdminToken {
    /// Reads the token from `path`, or makes one (32 random bytes, as hex) and writes it there with mode 0600.
    ///
    /// # Errors
    /// When the file can be neither read nor written, or holds less than 32 characters.
    pub fn load_or_create(path: &Path) -> io::Result<AdminToken> {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().len() >= 32 => Ok(AdminToken::of(text.trim())),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the admin token is shorter than 32 characters")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let token = random_token()?;
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                writeln!(file, "{token}")?;
                file.sync_all()?;
                Ok(AdminToken::of(&token))
            }
            Err(e) => Err(e),
        }
    }

    /// The token with this text.
    pub fn of(text: &str) -> AdminToken {
        AdminToken { hash: sha256(text.as_bytes()) }
    }

    /// Whether the request carries the token, compared in constant time.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let (scheme, token) = given.split_at(given.len().min(7));
        scheme.eq_ignore_ascii_case(b"bearer ") && self.is(token.trim_ascii())
    }

    /// Whether this is the token, compared in constant time.
    pub fn is(&self, text: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&sha256(text), &self.hash).is_ok()
    }
}

/// 32 random bytes from the crypto provider, as 64 hex digits.
///
/// # Errors
/// When there is no entropy.
pub fn random_token() -> io::Result<String> {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes to be had"))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn header(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_token_itself_is_admitted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.token");
        let made = AdminToken::load_or_create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(made.admits(&header(&format!("Bearer {}", text.trim()))));
        assert!(AdminToken::load_or_create(&path).unwrap().admits(&header(&format!("bearer {}", text.trim()))));
        for bad in ["", "Bearer", "Bearer ", "Basic abc", &format!("Bearer {}x", text.trim()), text.trim()] {
            assert!(!made.admits(&header(bad)), "{bad:?} was admitted");
        }
        assert!(!made.admits(&HeaderMap::new()));
        assert_eq!(format!("{made:?}"), "AdminToken(..)");
    }
}
