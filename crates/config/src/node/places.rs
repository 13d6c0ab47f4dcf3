//! Where a node listens and where it keeps things: flag, else variable, else file, else default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use net::listen::ListenAddr;

use crate::document::{Document, Spot};
use crate::error::Problem;
use crate::key_path::KeyPath;
use crate::node::{Flags, Inputs, Origin, Origins, setting_problem};

/// One list of addresses: its keys, its names and its default.
pub(crate) struct Listener {
    pub(crate) key: &'static str,
    variable: &'static str,
    flag: &'static str,
    flag_of: fn(&Flags) -> Option<&str>,
    /// `None`: nowhere.
    default: Option<&'static str>,
}

pub(crate) const HTTP: Listener = Listener {
    key: "router.listen",
    variable: "FOREBAY_HTTP",
    flag: "--http",
    flag_of: |flags| flags.http.as_deref(),
    default: Some("127.0.0.1:8080"),
};
pub(crate) const HTTPS: Listener = Listener {
    key: "router.tls.listen",
    variable: "FOREBAY_HTTPS",
    flag: "--https",
    flag_of: |flags| flags.https.as_deref(),
    default: None,
};
pub(crate) const QUEUE: Listener = Listener {
    key: "queue.listen",
    variable: "FOREBAY_QUEUE",
    flag: "--queue",
    flag_of: |flags| flags.queue.as_deref(),
    default: Some("127.0.0.1:11300"),
};
pub(crate) const ADMIN: Listener = Listener {
    key: "admin.listen",
    variable: "FOREBAY_ADMIN",
    flag: "--admin",
    flag_of: |flags| flags.admin.as_deref(),
    default: Some("127.0.0.1:7070"),
};

/// The inputs, and the problems found in them so far.
pub(crate) struct Found<'i> {
    pub(crate) inputs: &'i Inputs<'i>,
    pub(crate) document: Option<&'i Document<'i>>,
    pub(crate) problems: Vec<Problem>,
}

impl Found<'_> {
    /// The data folder. One of a flag or a variable may be relative to the working folder.
    pub(crate) fn data(&mut self, of_file: Option<PathBuf>) -> (PathBuf, Origin) {
        let root = self.inputs.root;
        let environment = &self.inputs.environment;
        let named = match (&self.inputs.flags.data, self.variable("FOREBAY_DATA")) {
            (Some(path), _) => Some((self.in_working_folder(path), Origin::Flag("--data"))),
            (None, Some(path)) => Some((self.in_working_folder(path.as_ref()), Origin::Variable("FOREBAY_DATA"))),
            (None, None) => of_file.map(|path| (path, self.file_origin(&KeyPath::root().key("data")))),
        };
        let (path, origin) = match named {
            Some(named) => named,
            None => (self.or_homeless("data", state_folder(environment, root)), Origin::Default),
        };
        self.absolute("data", &path, &origin);
        (path, origin)
    }

    /// The file of the key for secrets.
    pub(crate) fn key_file(&mut self, of_file: Option<PathBuf>) -> (PathBuf, Origin) {
        if let Some(path) = of_file {
            return (path, self.file_origin(&KeyPath::root().key("key_file")));
        }
        let folder = configuration_folder(&self.inputs.environment, self.inputs.root);
        (self.or_homeless("key_file", folder.map(|folder| folder.join("key"))), Origin::Default)
    }

    /// Fills a list of addresses and says who named them.
    pub(crate) fn addresses(&mut self, listener: &Listener, listen: &mut Vec<ListenAddr>) -> Origin {
        let flag = (listener.flag_of)(&self.inputs.flags);
        let variable = self.variable(listener.variable);
        let (text, origin) = match (flag, variable) {
            (Some(text), _) => (text, Origin::Flag(listener.flag)),
            (None, Some(text)) => (text, Origin::Variable(listener.variable)),
            (None, None) => {
                let at = listener.key.split('.').fold(KeyPath::root(), |at, key| at.key(key));
                if self.document.is_some_and(|document| document.has(&at)) {
                    return self.file_origin(&at);
                }
                let Some(default) = listener.default else { return Origin::Default };
                (default, Origin::Default)
            }
        };
        match list(text) {
            Ok(addrs) => *listen = addrs,
            Err(message) => {
                let hint = "write HOST:PORT, several separated by commas".to_owned();
                self.problems.push(setting_problem(&origin.to_string(), listener.key, message, Some(hint)));
            }
        }
        origin
    }

    /// A copy of the data folder must not hold the key to its own secrets.
    pub(crate) fn key_apart(&mut self, data: &Path, key_file: &Path, origin: &Origin) {
        if key_file.starts_with(data) {
            let message = format!("the key for secrets, {}, lies inside the data folder", key_file.display());
            let hint = "a copy of the data folder would hold the key to its own secrets; keep it elsewhere".to_owned();
            self.problems.push(setting_problem(&origin.to_string(), "key_file", message, Some(hint)));
        }
    }

    /// Two planes on one address would find out only when the second binds.
    pub(crate) fn shared_port(&mut self, origins: &Origins, lists: [&Vec<ListenAddr>; 4]) {
        let named = [
            (HTTP.key, &origins.http),
            (HTTPS.key, &origins.https),
            (QUEUE.key, &origins.queue),
            (ADMIN.key, &origins.admin),
        ];
        for (n, list) in lists.iter().enumerate() {
            for (m, earlier) in lists.iter().enumerate().take(n) {
                let Some(shared) = list.iter().find(|addr| earlier.contains(addr) && !is_any_port(addr)) else {
                    continue;
                };
                let (key, origin) = named[n];
                let message = format!("{shared} is already the address of {}", named[m].1.at(named[m].0));
                self.problems.push(setting_problem(&origin.to_string(), key, message, None));
            }
        }
    }

    fn file_origin(&self, at: &KeyPath) -> Origin {
        let place = self.document.and_then(|document| {
            let span = document.span(at, Spot::Key)?;
            Some(Origin::File { name: document.source.name.into(), line: document.source.line_of(span.start).0 })
        });
        place.unwrap_or(Origin::Default)
    }

    /// A variable that says something; an empty one counts as unset.
    fn variable(&self, name: &str) -> Option<&str> {
        self.inputs.environment.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn in_working_folder(&self, path: &Path) -> PathBuf {
        self.inputs.working_folder.as_deref().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    fn absolute(&mut self, key: &str, path: &Path, origin: &Origin) {
        if !path.is_absolute() && *origin != Origin::Default {
            let message = format!("the path `{}` is relative: expected an absolute one", path.display());
            self.problems.push(setting_problem(&origin.to_string(), key, message, None));
        }
    }

    /// A default folder, or a problem when the environment does not even have a home.
    fn or_homeless(&mut self, key: &str, folder: Option<PathBuf>) -> PathBuf {
        folder.unwrap_or_else(|| {
            let message = format!("there is no default for `{key}`, because HOME is not set");
            let hint = "set HOME, or name the folder with --data and key_file in node.toml".to_owned();
            self.problems.push(setting_problem("environment", key, message, Some(hint)));
            PathBuf::from("/nowhere").join(key)
        })
    }
}

fn is_any_port(addr: &ListenAddr) -> bool {
    addr.to_string().ends_with(":0")
}

/// Addresses separated by commas.
fn list(text: &str) -> Result<Vec<ListenAddr>, String> {
    text.split(',').map(|one| one.trim().parse::<ListenAddr>().map_err(|e| e.to_string())).collect()
}

/// /var/lib/forebay as root, else $XDG_STATE_HOME/forebay, else ~/.local/state/forebay.
fn state_folder(environment: &BTreeMap<String, String>, root: bool) -> Option<PathBuf> {
    if root {
        return Some("/var/lib/forebay".into());
    }
    Some(xdg(environment, "XDG_STATE_HOME", ".local/state")?.join("forebay"))
}

/// /etc/forebay as root, else $XDG_CONFIG_HOME/forebay, else ~/.config/forebay.
pub(crate) fn configuration_folder(environment: &BTreeMap<String, String>, root: bool) -> Option<PathBuf> {
    if root {
        return Some("/etc/forebay".into());
    }
    Some(xdg(environment, "XDG_CONFIG_HOME", ".config")?.join("forebay"))
}

/// A folder of the XDG base directory specification, which says to ignore a relative one.
fn xdg(environment: &BTreeMap<String, String>, variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}
