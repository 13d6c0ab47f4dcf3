//! Pages that routes fall back to: read with the configuration, so that they are there when nothing else is.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use router::config::RoutePolicy;

use crate::document::Finding;
use crate::error::{Code, ConfigError, FileKind};
use crate::file;
use crate::key_path::KeyPath;

/// Bytes of a page.
const PAGE_BYTES_MAX: u64 = 256 << 10;

/// Puts the text of each page in the place of its file's name.
///
/// # Errors
/// When one cannot be read, or is no page.
pub(crate) fn read<'p>(
    kind: FileKind,
    name: &str,
    folder: &Path,
    policies: impl Iterator<Item = &'p mut RoutePolicy>,
) -> Result<(), ConfigError> {
    for (n, policy) in policies.enumerate() {
        let Some(fallback) = &mut policy.fallback else { continue };
        let Some(page) = fallback.file.take() else { continue };
        let problem = |code, why: String| {
            let message = format!("routes[{n}].fallback.file: cannot read {page}: {why}");
            ConfigError::one(kind, file::whole_file(code, name, message))
        };
        let mut text = String::new();
        File::open(folder.join(&page))
            .and_then(|file| file.take(PAGE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|error| problem(Code::Unreadable, error.to_string()))?;
        if text.len() as u64 > PAGE_BYTES_MAX {
            return Err(problem(Code::TooLarge, format!("it has more than {PAGE_BYTES_MAX} bytes")));
        }
        fallback.text = Some(text);
    }
    Ok(())
}

/// What does not fit together about one route's fallback and degrade levels.
pub(crate) fn rules(at: &KeyPath, policy: &RoutePolicy, findings: &mut Vec<Finding>) {
    if let Some(levels) = &policy.degrade
        && levels.from > levels.to
    {
        let message = format!("no level is from {} to {}", levels.from, levels.to);
        findings.push(Finding::invalid(at.key("degrade").key("to"), message).expected("`from` or more"));
    }
    let Some(fallback) = &policy.fallback else { return };
    let at = at.key("fallback");
    if fallback.file.is_some() && fallback.text.is_some() {
        findings.push(Finding::invalid(at.key("text"), "the page is both a `file` and a `text`").on_key());
    }
    if fallback.file.is_none() && fallback.text.is_none() && fallback.upstream.is_none() {
        let finding = Finding::invalid(at.clone(), "there is nothing to fall back to");
        findings.push(finding.expected("`file`, `text` or `upstream`"));
    }
    let inside = |file: &String| Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    if let Some(file) = fallback.file.as_ref().filter(|file| !inside(file)) {
        let finding = Finding::invalid(at.key("file"), format!("`{file}` is not below the folder of this file"));
        findings.push(finding.expected("a relative path without `..`"));
    }
}
