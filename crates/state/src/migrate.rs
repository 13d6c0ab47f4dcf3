//! Numbered migrations, each in one transaction with its number; the number is SQLite's `user_version`.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::StateError;
use crate::row::Outcome;

/// The version of what the store writes into its folder.
pub const FORMAT: u32 = MIGRATIONS.len() as u32;

/// All migrations; the n-th brings the database to version n.
pub(crate) const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// Brings the database at `path` to the version of the last of `migrations`. One that is older is copied beside itself
/// first (`state.db.v1.bak`); one that is newer is refused and not touched.
///
/// # Errors
/// When the database is newer, or the copy or a migration fails; the database is then as it was.
pub(crate) fn run(conn: &mut Connection, path: &Path, migrations: &[&str]) -> Outcome<()> {
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StateError::Newer { path: path.to_path_buf(), found, known });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        copy(conn, path, found)?;
    }
    let tx = conn.transaction()?;
    for migration in &migrations[found as usize..] {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", known)?;
    tx.commit()?;
    Ok(())
}

/// A consistent copy of the database as it is, whatever sits in its WAL; a copy that was cut short is made again.
fn copy(conn: &Connection, path: &Path, version: u32) -> Outcome<()> {
    let failed = |path: &Path, source| StateError::Io { path: path.to_path_buf(), source };
    let backup = beside(path, &format!(".v{version}.bak"));
    let partial = beside(path, &format!(".v{version}.bak.partial"));
    match std::fs::remove_file(&partial) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(&partial, e)),
        _ => {}
    }
    conn.execute("VACUUM INTO ?1", [partial.to_string_lossy()])?;
    std::fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(|e| failed(&partial, e))?;
    std::fs::rename(&partial, &backup).map_err(|e| failed(&backup, e))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (1);";
    const TWO: &str = "ALTER TABLE t ADD COLUMN b TEXT NOT NULL DEFAULT 'two';";

    fn open(dir: &Path) -> (Connection, PathBuf) {
        let path = dir.join("state.db");
        (Connection::open(&path).unwrap(), path)
    }

    #[test]
    fn an_older_database_is_copied_and_then_migrated() {
        let dir = tempfile::tempdir().unwrap();
        let (mut conn, path) = open(dir.path());
        run(&mut conn, &path, &[ONE]).unwrap();
        run(&mut conn, &path, &[ONE, TWO]).unwrap();
        let row: (i64, String) = conn.query_row("SELECT a, b FROM t", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        assert_eq!(row, (1, "two".to_string()));
        let before = Connection::open(dir.path().join("state.db.v1.bak")).unwrap();
        assert_eq!(before.query_row("SELECT a FROM t", [], |r| r.get::<_, i64>(0)).unwrap(), 1);
        assert!(before.query_row("SELECT b FROM t", [], |r| r.get::<_, String>(0)).is_err());
    }

    #[test]
    fn a_newer_database_is_refused_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (mut conn, path) = open(dir.path());
        run(&mut conn, &path, &[ONE, TWO]).unwrap();
        let error = run(&mut conn, &path, &[ONE]).unwrap_err();
        assert_eq!(error.code(), "format_newer");
        assert_eq!(conn.query_row("SELECT b FROM t", [], |r| r.get::<_, String>(0)).unwrap(), "two");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before() {
        let dir = tempfile::tempdir().unwrap();
        let (mut conn, path) = open(dir.path());
        run(&mut conn, &path, &[ONE]).unwrap();
        assert!(run(&mut conn, &path, &[ONE, "DROP TABLE t; CREATE NONSENSE"]).is_err());
        assert_eq!(conn.query_row("PRAGMA user_version", [], |r| r.get::<_, u32>(0)).unwrap(), 1);
        assert_eq!(conn.query_row("SELECT a FROM t", [], |r| r.get::<_, i64>(0)).unwrap(), 1);
    }
}
