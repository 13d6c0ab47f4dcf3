//! What pages may not have of fragments.

use std::sync::Arc;

use control::metrics::Exposition;
use router::access::{Unfit, What};
use router::config::FragmentsConfig;
use router::{RouteSpec, Routing};

use crate::endpoint::{Endpoint, says};
use crate::fragments::{assembling, fails, html, of, path, patient, whats};
use crate::rig::Rig;

fn dropped(src: &str, why: Unfit) -> What {
    What::FragmentDropped(src.into(), why)
}

/// Adds a route by host, to the same upstream.
fn also(rig: &Rig, host: &str) {
    let routing: Arc<Routing> = rig.source_routing().borrow().clone();
    let mut routing = Routing::clone(&routing);
    routing.routes.push(RouteSpec { name: "other".into(), host: Some(host.into()), ..routing.routes[0].clone() });
    rig.source.replace(routing);
}

#[tokio::test]
async fn fragments_of_fragments_end_at_the_depth() {
    let a = Endpoint::new(|request| {
        let depth: usize = path(request).trim_start_matches('/').parse().unwrap_or_default();
        html(&format!(r#"{depth}<esi:include src="/{}"/>"#, depth + 1))
    })
    .await;
    let rig = assembling(&a).start();
    assert_eq!(rig.get("/").await.content, "0123");
    let records = rig.records(4).await;
    assert_eq!(whats(of(&records, "/")), [dropped("/4", Unfit::TooMany)]);
}

#[tokio::test]
async fn a_page_is_not_within_itself() {
    let a = Endpoint::new(|request| match path(request) {
        "/" => html(r#"<<esi:include src="/"/><esi:include src="/a"/>>"#),
        _ => html(r#"a<esi:include src="a"/>"#),
    })
    .await;
    let rig = assembling(&a).start();
    assert_eq!(rig.get("/").await.content, "<a>");
    assert_eq!(a.requests().len(), 2);
    let records = rig.records(2).await;
    assert_eq!(whats(of(&records, "/")), [dropped("/", Unfit::Refused), dropped("a", Unfit::Refused)]);
}

#[tokio::test]
async fn so_many_and_so_long() {
    let rule = FragmentsConfig { count_max: 2, fragment_bytes_max: 3, parallel_max: 1, ..patient() };
    let a = Endpoint::new(|request| match path(request) {
        "/" => html(r#"<esi:include src="/a"/><esi:include src="/long"/><esi:include src="/b"/>"#),
        "/long" => html("long"),
        _ => html("a"),
    })
    .await;
    let rig = assembling(&a).policy(|policy| policy.fragments = Some(rule)).start();
    assert_eq!(rig.get("/").await.content, "a");
    let records = rig.records(3).await;
    assert_eq!(whats(of(&records, "/")), [dropped("/b", Unfit::TooMany), dropped("/long", Unfit::Failed)]);
}

#[tokio::test]
async fn without_room_for_fragments_there_are_none() {
    let a =
        Endpoint::new(|request| if path(request) == "/" { html(r#"<<esi:include src="/a"/>>"#) } else { html("a") })
            .await;
    let rig = assembling(&a).config(|config| config.fragments_bytes_max = 0).start();
    assert_eq!(rig.get("/").await.content, "<>");
}

#[tokio::test]
async fn no_host_is_asked_that_no_route_names() {
    let evil = Endpoint::saying("evil").await;
    let template = format!(
        r#"<<esi:include src="http://{}/"/><esi:include src="http://169.254.169.254/"/><esi:include src="/.forebay/health"/><esi:include src="http://ads.example/x"/>>"#,
        evil.addr
    );
    let a = Endpoint::new(move |request| match (request.one("host"), path(request)) {
        ("shop", "/") => html(&template),
        ("ads.example", "/x") => says("ad"),
        _ => fails(),
    })
    .await;
    let rig = assembling(&a).start();
    also(&rig, "Ads.example");
    rig.handle.applied().await;
    let reply = rig.send("GET / HTTP/1.1\r\nhost: shop\r\ncookie: c=1\r\nauthorization: Basic x\r\n\r\n").await;
    assert_eq!(reply.content, "<ad>");
    assert_eq!(evil.connections(), 0);
    let requests = a.requests();
    let ad = requests.iter().find(|request| request.one("host") == "ads.example").unwrap();
    assert!(ad.all("cookie").is_empty() && ad.all("authorization").is_empty(), "{}", ad.head);
    assert_eq!(requests.len(), 2);
    let refused = whats(of(&rig.records(2).await, "/"));
    assert!(refused.len() == 3 && refused.iter().all(|what| matches!(what, What::FragmentDropped(_, Unfit::Refused))));
    let mut page = Exposition::default();
    rig.handle.metrics(&mut page);
    let counted = page.into_text();
    assert!(counted.lines().any(|line| line.contains("fragment_dropped") && line.ends_with(" 3")), "{counted}");
}
