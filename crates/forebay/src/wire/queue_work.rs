//! What works on an application's tubes: its manifest says it, the router's address and routes lead to its processes.

use std::net::SocketAddr;

use config::Resolved;
use queue::Work;
use queue::push::{PushConfig, PushSpec};

/// The deliveries and periodic jobs of an application. A delivery to a process goes through the router at `router`, so that it
/// has the router's balancing, checks and retries.
pub(crate) fn work(resolved: &Resolved, router: Option<SocketAddr>) -> Work {
    let pushes = resolved.push.iter().filter_map(|(tube, push)| {
        let spec = to_url(push).or_else(|| to_process(push, resolved, router?));
        if spec.is_none() {
            tracing::error!(scope = %resolved.scope, tube, "the tube is not delivered: its target has no route, or there is no router");
        }
        Some((tube.clone(), spec?))
    });
    Work { pushes: pushes.collect(), crons: resolved.cron.clone() }
}

fn to_url(push: &PushConfig) -> Option<PushSpec> {
    push.url.as_ref().map(|url| push.to(url.clone(), None))
}

fn to_process(push: &PushConfig, resolved: &Resolved, router: SocketAddr) -> Option<PushSpec> {
    let process = push.process.as_deref()?;
    let route = resolved.routes.iter().find(|route| route.process.as_str() == process)?;
    let url = format!("http://{router}{}{}", route.path_prefix.trim_end_matches('/'), push.path);
    Some(push.to(url, route.host.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Manifest;
    use stdx::ids::EnvName;

    #[test]
    fn a_process_is_reached_by_its_route() {
        let folder = tempfile::tempdir().unwrap();
        let text = "schema = 1\napp = \"shop\"\n[processes.web]\ncommand = \"true\"\n[[routes]]\nprocess = \"web\"\nhost = \"shop.test\"\n\
                    path_prefix = \"/api/\"\n[push.orders]\nprocess = \"web\"\npath = \"/jobs\"\n[push.mail]\nurl = \"http://localhost:9000/\"\n";
        std::fs::write(folder.path().join("forebay.toml"), text).unwrap();
        let manifest = Manifest::load_as(folder.path(), None).unwrap().manifest;
        let resolved = Resolved::new(manifest, EnvName::production());
        let pushes = work(&resolved, Some(([127, 0, 0, 1], 8080).into())).pushes;
        let orders = &pushes["orders"];
        assert_eq!(
            (orders.url.as_str(), orders.host.as_deref()),
            ("http://127.0.0.1:8080/api/jobs", Some("shop.test"))
        );
        assert_eq!((pushes["mail"].url.as_str(), pushes["mail"].host.as_deref()), ("http://localhost:9000/", None));
        assert_eq!(work(&resolved, None).pushes.len(), 1, "without a router only the URL is left");
    }
}
