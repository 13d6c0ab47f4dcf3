//! The key file: 64 hex digits outside DATA, so that a copy of DATA alone gives no secret away.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use rusqlite::{Connection, OptionalExtension, params};

use crate::StateError;
use crate::row::Outcome;
use crate::seal::{KEY_BYTES, Seal, Sealed};

const CHECK_PLACE: &str = "seal_check";
const CHECK_TEXT: &[u8] = b"forebay";

/// The key, read when it is first needed: a node without secrets starts without one, and one whose key is lost still
/// serves what runs.
pub(crate) struct KeyRing {
    path: PathBuf,
    seal: Option<Seal>,
}

impl KeyRing {
    pub(crate) fn new(path: PathBuf) -> KeyRing {
        KeyRing { path, seal: None }
    }

    /// The key, from its file or, where nothing is encrypted yet, freshly made.
    ///
    /// # Errors
    /// `secrets_key_missing` when there are encrypted rows and no file, `secrets_key_wrong` when the file holds another
    /// key than theirs, `secrets_key_unusable` when it cannot be read or made.
    pub(crate) fn seal(&mut self, conn: &Connection) -> Outcome<&Seal> {
        let seal = match self.seal.take() {
            Some(seal) => seal,
            None => load(conn, &self.path)?,
        };
        Ok(self.seal.insert(seal))
    }

    /// The error for a row that does not open although the key is the right one.
    pub(crate) fn damaged(what: &str) -> StateError {
        StateError::Corrupt(format!("{what} does not decrypt"))
    }
}

fn load(conn: &Connection, path: &Path) -> Outcome<Seal> {
    let (key, fresh) = match read(path)? {
        Some(key) => (key, false),
        None if encrypted_rows(conn)? => return Err(StateError::KeyMissing(path.to_path_buf())),
        None => (create(path)?, true),
    };
    let seal = Seal::new(&key).map_err(|_| unusable(path, "the crypto provider refuses it"))?;
    if fresh {
        conn.execute("DELETE FROM seal_check", [])?;
    }
    check(conn, path, &seal)?;
    Ok(seal)
}

fn encrypted_rows(conn: &Connection) -> Outcome<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM secrets WHERE ciphertext IS NOT NULL) OR EXISTS (SELECT 1 FROM tokens)";
    Ok(conn.query_row(sql, [], |row| row.get(0))?)
}

/// Opens the row by which a wrong key is told, or writes it.
fn check(conn: &Connection, path: &Path, seal: &Seal) -> Outcome<()> {
    let found = conn
        .query_row("SELECT nonce, ciphertext FROM seal_check", [], |row| {
            Ok(Sealed { nonce: row.get(0)?, ciphertext: row.get(1)? })
        })
        .optional()?;
    if let Some(sealed) = found {
        let opened = seal.open(CHECK_PLACE, &sealed);
        return opened.map(drop).map_err(|_| StateError::KeyWrong(path.to_path_buf()));
    }
    let sealed = seal.close(CHECK_PLACE, CHECK_TEXT).map_err(|_| unusable(path, "no random bytes"))?;
    conn.execute(
        "INSERT INTO seal_check (id, nonce, ciphertext) VALUES (1, ?1, ?2)",
        params![sealed.nonce, sealed.ciphertext],
    )?;
    Ok(())
}

fn read(path: &Path) -> Outcome<Option<[u8; KEY_BYTES]>> {
    match fs::read(path) {
        Ok(text) => parse(&text).map(Some).ok_or_else(|| unusable(path, "it does not hold 64 hex digits")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unusable(path, e)),
    }
}

fn parse(text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if text.len() != 2 * KEY_BYTES || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Makes the key file whole or not at all: written beside, synced, linked into place, never over another.
fn create(path: &Path) -> Outcome<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    rand::fill(&mut key).map_err(|_| unusable(path, "no random bytes"))?;
    write_new(path, &key).map_err(|e| unusable(path, e))?;
    Ok(key)
}

fn write_new(path: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    stdx::lock::make_private_dir(folder)?;
    let temporary = folder.join(format!("key.{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o400).open(&temporary)?;
    file.write_all(hex(key).as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked?;
    fs::File::open(folder)?.sync_all()
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> StateError {
    StateError::KeyUnusable { path: path.to_path_buf(), reason: reason.to_string() }
}
