//! From a folder to its manifest: which file decides, and why.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use stdx::ids::AppName;

use crate::document::Finding;
use crate::error::{Code, ConfigError, FileKind};
use crate::key_path::KeyPath;
use crate::manifest::Manifest;
use crate::source::Source;
use crate::{file, pages, procfile, rules};

/// The manifest's file name.
const MANIFEST: &str = "forebay.toml";
/// The file that is enough for an application that needs no more.
const PROCFILE: &str = "Procfile";
/// What to write where there is nothing.
const MINIMAL: &str = "write a forebay.toml:\n\n    schema = 1\n    app = \"shop\"\n\n    [processes.web]\n    command = \"python3 web.py\"\n\n    [[routes]]\n    process = \"web\"\n\nor a Procfile:\n\n    web: python3 web.py";

/// A manifest, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The manifest, checked.
    pub manifest: Manifest,
    /// Which file decided.
    pub origin: Origin,
    /// Sentences that a user should see, such as that a Procfile was ignored.
    pub notes: Vec<String>,
}

/// Which file decided what the application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `forebay.toml`.
    Manifest,
    /// A `Procfile`, because there is no `forebay.toml`.
    Procfile,
}

impl fmt::Display for Origin {
    /// The file and why it decided, to be shown before a deploy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Manifest => f.write_str("forebay.toml (the application's manifest)"),
            Origin::Procfile => f.write_str("Procfile (there is no forebay.toml)"),
        }
    }
}

impl Manifest {
    /// Reads the manifest of an application's folder. `forebay.toml` decides; a `Procfile` is enough where there is none,
    /// and then the application is named after the folder.
    ///
    /// # Errors
    /// When there is neither file, when it cannot be read, or with all that is wrong in it.
    pub fn load(folder: &Path) -> Result<Loaded, ConfigError> {
        Manifest::load_as(folder, None)
    }

    /// Like `load`, for a folder whose own name says nothing: a `Procfile` makes the application `app`, and a
    /// `forebay.toml` must name it so.
    ///
    /// # Errors
    /// As `load`, and when `forebay.toml` names another application.
    pub fn load_as(folder: &Path, app: Option<&AppName>) -> Result<Loaded, ConfigError> {
        let manifest = text_of(folder, MANIFEST)?;
        let procfile = text_of(folder, PROCFILE)?;
        match (manifest, procfile) {
            (Some(text), procfile) => {
                let mut manifest = Manifest::parse_as(Source { name: MANIFEST, text: &text }, app)?;
                let policies = manifest.routes.iter_mut().map(|route| &mut route.policy);
                pages::read(FileKind::Manifest, MANIFEST, folder, policies)?;
                let ignored = procfile.map(|_| "the Procfile is not read, because there is a forebay.toml".to_owned());
                Ok(Loaded { manifest, origin: Origin::Manifest, notes: ignored.into_iter().collect() })
            }
            (None, Some(text)) => {
                let name = app.cloned().unwrap_or_else(|| app_name_of(folder));
                let notes = procfile_notes(&name, app.is_some(), &text);
                let manifest = procfile::read(name, Source { name: PROCFILE, text: &text })?;
                Ok(Loaded { manifest, origin: Origin::Procfile, notes })
            }
            (None, None) => Err(missing(folder)),
        }
    }

    /// Reads the text of a `forebay.toml`.
    ///
    /// # Errors
    /// All that is wrong in it, at most 20 problems and the number of the others.
    pub fn parse(text: &str) -> Result<Manifest, ConfigError> {
        Manifest::parse_as(Source { name: MANIFEST, text }, None)
    }

    fn parse_as(source: Source<'_>, app: Option<&AppName>) -> Result<Manifest, ConfigError> {
        let (manifest, document) = file::read::<Manifest>(FileKind::Manifest, source)?;
        let mut findings = rules::manifest(&manifest);
        if let Some(app) = app.filter(|app| **app != manifest.app) {
            let message = format!("the manifest is of the application `{}`", manifest.app);
            findings.push(Finding::invalid(KeyPath::root().key("app"), message).expected(format!("`{app}`")));
        }
        document.problems(findings)?;
        Ok(manifest)
    }
}

fn procfile_notes(app: &AppName, named: bool, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if !named {
        notes.push(format!("the application is named `{app}` after its folder"));
    }
    if !text.lines().any(|line| line.trim_start().starts_with("web:")) {
        notes.push("there is no process `web`, so no requests are routed to this application".into());
    }
    notes
}

/// The text of a file in the folder, `None` where there is none.
fn text_of(folder: &Path, name: &str) -> Result<Option<String>, ConfigError> {
    match read_bounded(&folder.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(FileKind::Manifest, name, &e)),
    }
}

/// Reads a text, one byte more than is allowed at most, so that the size check can tell.
pub(crate) fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(file::FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

pub(crate) fn unreadable(kind: FileKind, name: &str, error: &io::Error) -> ConfigError {
    let (code, reason) = match error.kind() {
        io::ErrorKind::NotFound => (Code::Missing, "there is no such file".into()),
        io::ErrorKind::InvalidData => (Code::Unreadable, "it is not UTF-8".into()),
        _ => (Code::Unreadable, error.to_string()),
    };
    ConfigError::one(kind, file::whole_file(code, name, format!("cannot read {name}: {reason}")))
}

fn missing(folder: &Path) -> ConfigError {
    let what = if folder.is_dir() {
        format!("there is no forebay.toml and no Procfile in {}", folder.display())
    } else {
        format!("there is no folder {}", folder.display())
    };
    let mut problem = file::whole_file(Code::Missing, &folder.display().to_string(), what);
    problem.hint = folder.is_dir().then(|| MINIMAL.into());
    ConfigError::one(FileKind::Manifest, problem)
}

/// A valid application name made of a folder's: lower case, other characters become hyphens.
fn app_name_of(folder: &Path) -> AppName {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = full.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let words = name.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let mut made = words.collect::<Vec<_>>().join("-");
    if !made.starts_with(|c: char| c.is_ascii_lowercase()) {
        made.insert_str(0, "app-");
    }
    made.truncate(40);
    AppName::new(made.trim_end_matches('-')).expect("letters, digits and inner hyphens after a letter are a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_its_application() {
        for (folder, app) in [
            ("shop", "shop"),
            ("My Shop_2", "my-shop-2"),
            ("2048", "app-2048"),
            ("--x--", "x"),
            ("", "app"),
            ("ünïcode", "n-code"),
            (&"a".repeat(60), &"a".repeat(40)),
        ] {
            assert_eq!(
                app_name_of(Path::new("/nowhere-at-all").join(folder).as_path()).as_str(),
                if folder.is_empty() { "nowhere-at-all" } else { app },
                "{folder}"
            );
        }
    }
}
