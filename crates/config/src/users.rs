//! Files with a route's users: read with the configuration.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use router::config::{RoutePolicy, USERS_MAX, User};

use crate::document::Finding;
use crate::error::{Code, ConfigError, FileKind};
use crate::file;
use crate::key_path::KeyPath;

/// Bytes of a file of users.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Puts the users of each file in the place of its name.
///
/// # Errors
/// When one cannot be read, or a line of it is no user.
pub(crate) fn read<'p>(
    kind: FileKind,
    name: &str,
    folder: &Path,
    policies: impl Iterator<Item = &'p mut RoutePolicy>,
) -> Result<(), ConfigError> {
    for (n, policy) in policies.enumerate() {
        let Some(auth) = &mut policy.basic_auth else { continue };
        let Some(path) = auth.users_file.take() else { continue };
        let problem = |code, why: String| {
            let message = format!("routes[{n}].basic_auth.users_file: {path}: {why}");
            ConfigError::one(kind, file::whole_file(code, name, message))
        };
        let mut text = String::new();
        File::open(folder.join(&path))
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|error| problem(Code::Unreadable, format!("cannot be read: {error}")))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(problem(Code::TooLarge, format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let user = User::line(line);
            user.parts().map_err(|what| problem(Code::Invalid, format!("line {}: {what}", at + 1)))?;
            auth.users.push(user);
        }
        if let Some(fault) = auth.faults().first() {
            return Err(problem(Code::Invalid, format!("{} (at most {USERS_MAX} users)", fault.what)));
        }
    }
    Ok(())
}

/// What does not fit together about one route's users. A manifest's file of users comes with its application.
pub(crate) fn rules(at: &KeyPath, policy: &RoutePolicy, is_manifest: bool, findings: &mut Vec<Finding>) {
    let Some(auth) = &policy.basic_auth else { return };
    let inside = |file: &String| Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    if let Some(file) = auth.users_file.as_ref().filter(|file| is_manifest && !inside(file)) {
        let at = at.key("basic_auth").key("users_file");
        let finding = Finding::invalid(at, format!("`{file}` is not below the folder of this file"));
        findings.push(finding.expected("a relative path without `..`"));
    }
    let forgets = |name: &String| name.eq_ignore_ascii_case("authorization");
    let removed = policy.request_headers.as_ref().is_some_and(|edits| edits.remove.iter().any(forgets));
    if removed && (policy.cache.is_some() || policy.idempotency.is_some()) {
        let at = at.key("request_headers").key("remove");
        let message = "without `authorization` the answers for one user would be kept for all";
        findings.push(Finding::invalid(at, message).hint("leave it in, or leave out `cache` and `idempotency`"));
    }
}
