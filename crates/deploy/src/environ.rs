//! The environment of an instance: a public promise, written down in `docs/environment.md`. Nothing of the node's own
//! environment is in it but `PATH` (unless the instance has a user of its own), `LANG` and `TZ`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use state::Sensitive;
use stdx::ids::{InstanceId, ReleaseNo, Scope};

/// What the node passes on of its own environment.
const PASSED: [&str; 3] = ["PATH", "LANG", "TZ"];
/// Where commands are looked for when the node itself does not know or does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an instance is told of itself and its surroundings.
pub(crate) struct About<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) instance: &'a InstanceId,
    pub(crate) release: ReleaseNo,
    pub(crate) port: Option<u16>,
    pub(crate) folder: &'a Path,
    pub(crate) queue: Option<(SocketAddr, &'a Sensitive)>,
    pub(crate) queue_http: Option<SocketAddr>,
    pub(crate) router: Option<SocketAddr>,
}

/// Whether an instance gets a variable of the node. One with a user of its own does not get the node's `PATH`: folders
/// in it that only root may enter would turn "not found" into "permission denied".
pub(crate) fn is_shared(name: &str, own_user: bool) -> bool {
    PASSED.contains(&name) && !(own_user && name == "PATH")
}

/// All variables of an instance. `config` (the manifest's `[env]`) may set what is not Forebay's own; `inherited` asks
/// for a variable of the node.
pub(crate) fn variables<'a>(
    about: &About<'_>,
    config: impl Iterator<Item = (&'a String, &'a String)>,
    inherited: impl Fn(&str) -> Option<OsString>,
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::new();
    for name in PASSED {
        all.extend(inherited(name).map(|value| (name.into(), value)));
    }
    put(&mut all, "HOME", about.folder.as_os_str());
    if !all.iter().any(|(name, _)| name == "PATH") {
        put(&mut all, "PATH", DEFAULT_PATH);
    }
    for (name, value) in config {
        put(&mut all, name, value);
    }
    own(&mut all, about);
    all
}

/// The variables of a command that checks a dependency: the application's, and no more of Forebay's own than whose it is.
pub(crate) fn of_command<'a>(
    scope: &Scope,
    release: ReleaseNo,
    folder: &Path,
    config: impl Iterator<Item = (&'a String, &'a String)>,
    inherited: impl Fn(&str) -> Option<OsString>,
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::new();
    for name in PASSED {
        all.extend(inherited(name).map(|value| (name.into(), value)));
    }
    put(&mut all, "HOME", folder.as_os_str());
    if !all.iter().any(|(name, _)| name == "PATH") {
        put(&mut all, "PATH", DEFAULT_PATH);
    }
    config.for_each(|(name, value)| put(&mut all, name, value));
    put(&mut all, "FOREBAY_APP", scope.app.as_str());
    put(&mut all, "FOREBAY_ENV", scope.env.as_str());
    put(&mut all, "FOREBAY_RELEASE", release.to_string());
    all
}

/// Forebay's own variables are put last: what an instance reads in them is true.
fn own(all: &mut Vec<(OsString, OsString)>, about: &About<'_>) {
    put(all, "FOREBAY_APP", about.scope.app.as_str());
    put(all, "FOREBAY_ENV", about.scope.env.as_str());
    put(all, "FOREBAY_PROCESS", about.instance.process.as_str());
    put(all, "FOREBAY_INSTANCE", about.instance.to_string());
    put(all, "FOREBAY_RELEASE", about.release.to_string());
    if let Some(port) = about.port {
        put(all, "PORT", port.to_string());
    }
    if let Some((addr, token)) = about.queue {
        let token = String::from_utf8_lossy(token.expose());
        put(all, "FOREBAY_QUEUE_URL", format!("beanstalkd://{token}@{addr}"));
        if let Some(addr) = about.queue_http {
            // A name and a password: that is what HTTP clients take out of a URL.
            put(all, "FOREBAY_QUEUE_HTTP_URL", format!("http://forebay:{token}@{addr}"));
        }
    }
    if let Some(addr) = about.router {
        put(all, "FOREBAY_ROUTER_URL", format!("http://{addr}"));
    }
}

fn put(all: &mut Vec<(OsString, OsString)>, name: &str, value: impl Into<OsString>) {
    all.retain(|(known, _)| known != name);
    all.push((name.into(), value.into()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use stdx::ids::{AppName, ProcessName};

    #[test]
    fn an_instance_knows_itself_and_nothing_else_of_the_node() {
        let scope = Scope::production(AppName::new("shop").unwrap());
        let instance = InstanceId { process: ProcessName::new("web").unwrap(), serial: 17 };
        let token = Sensitive::new(b"0123abcd".to_vec());
        let about = About {
            scope: &scope,
            instance: &instance,
            release: ReleaseNo(3),
            port: Some(20_001),
            folder: Path::new("/data/releases/shop/production/3"),
            queue: Some(("127.0.0.1:11300".parse().unwrap(), &token)),
            queue_http: Some("127.0.0.1:11400".parse().unwrap()),
            router: Some("127.0.0.1:8080".parse().unwrap()),
        };
        let config = BTreeMap::from([("COLOR".to_string(), "green".to_string()), ("PORT".into(), "1".into())]);
        let node = |name: &str| match name {
            "LANG" => Some("C.UTF-8".into()),
            "AWS_SECRET" => Some("never".into()),
            _ => None,
        };
        let mut lines: Vec<String> = variables(&about, config.iter(), node)
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "COLOR=green",
                "FOREBAY_APP=shop",
                "FOREBAY_ENV=production",
                "FOREBAY_INSTANCE=web.17",
                "FOREBAY_PROCESS=web",
                "FOREBAY_QUEUE_HTTP_URL=http://forebay:0123abcd@127.0.0.1:11400",
                "FOREBAY_QUEUE_URL=beanstalkd://0123abcd@127.0.0.1:11300",
                "FOREBAY_RELEASE=v3",
                "FOREBAY_ROUTER_URL=http://127.0.0.1:8080",
                "HOME=/data/releases/shop/production/3",
                "LANG=C.UTF-8",
                &format!("PATH={DEFAULT_PATH}"),
                "PORT=20001",
            ]
        );
    }
}
