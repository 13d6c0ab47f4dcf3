//! What a route does with requests and replies by itself: whom it lets in, redirects, other paths, other fields.

use router::access::Outcome;
use router::config::{ClientsConfig, FallbackConfig, FieldEdits, RedirectConfig, RewriteConfig, RoutePolicy};

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Proxy, proxy};

fn treated(endpoint: &Endpoint, change: impl FnOnce(&mut RoutePolicy)) -> Proxy {
    proxy().endpoint(endpoint).policy(change)
}

fn edits(set: &[(&str, &str)], remove: &[&str]) -> FieldEdits {
    FieldEdits {
        set: set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        remove: remove.iter().map(|name| (*name).into()).collect(),
    }
}

fn from(client: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: shop\r\nx-forwarded-for: {client}\r\n\r\n")
}

#[tokio::test]
async fn a_route_is_for_those_it_names() {
    let a = Endpoint::saying("ok").await;
    let clients = ClientsConfig { allow: vec!["198.51.100.0/24".into()], deny: vec!["198.51.100.7".into()] };
    let rig = treated(&a, |policy| policy.clients = Some(clients)).start();
    for (client, status) in [("198.51.100.1", 200), ("198.51.100.7", 403), ("203.0.113.9", 403), ("2001:db8::1", 403)] {
        assert_eq!(rig.send(from(client)).await.status, status, "{client}");
    }
    // Without a word from somebody trusted it is the peer that asks.
    assert_eq!(rig.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await.status, 403);
    assert_eq!(a.requests().len(), 1);
}

#[tokio::test]
async fn whom_a_stranger_claims_to_be_does_not_count() {
    let a = Endpoint::saying("ok").await;
    let clients = ClientsConfig { allow: vec!["198.51.100.0/24".into()], deny: Vec::new() };
    let rig = treated(&a, |policy| policy.clients = Some(clients)).untrusting().start();
    assert_eq!(rig.send(from("198.51.100.1")).await.status, 403);
    assert_eq!(a.requests().len(), 0);
}

#[tokio::test]
async fn those_turned_away_get_no_fallback_and_content_they_sent_is_no_request() {
    let a = Endpoint::saying("ok").await;
    let clients = ClientsConfig { allow: Vec::new(), deny: vec!["127.0.0.0/8".into()] };
    let rig = treated(&a, |policy| {
        policy.clients = Some(clients);
        policy.fallback = Some(FallbackConfig { text: Some("sorry".into()), ..FallbackConfig::default() });
    })
    .start();
    let smuggled = "GET /inner HTTP/1.1\r\nhost: shop\r\n\r\n";
    let head = format!("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: {}\r\n\r\n", smuggled.len());
    let reply = rig.send(head + smuggled).await;
    assert_eq!((reply.status, a.requests().len()), (403, 0));
    assert_eq!(rig.record().await.status, 403);
}

#[tokio::test]
async fn clients_are_sent_elsewhere_with_what_they_asked_for() {
    let a = Endpoint::saying("ok").await;
    let to = "https://new.example/was/{host}{path}{query}";
    let rig = treated(&a, |policy| policy.redirect = Some(RedirectConfig { to: to.into(), status: 301 })).start();
    let reply = rig.send("GET /a/b?c=1&d={path} HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    assert_eq!(reply.status, 301);
    assert_eq!(reply.one("location"), "https://new.example/was/shop/a/b?c=1&d={path}");
    assert_eq!(rig.record().await.status, 301);
    // The connection goes on, also behind content that nobody reads.
    let post = "POST /x HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\n\r\nteaGET /y HTTP/1.1\r\nhost: shop\r\n\r\n";
    assert_eq!(rig.send(post).await.one("location"), "https://new.example/was/shop/x");
    assert_eq!(a.requests().len(), 0);
}

#[tokio::test]
async fn the_application_is_asked_by_another_path_and_the_record_has_the_clients() {
    let a = Endpoint::saying("ok").await;
    let rig = treated(&a, |policy| policy.rewrite = Some(RewriteConfig { prefix: "/v2/".into() })).start();
    for (asked, got) in [("/", "/v2/"), ("/a%2Fb?c=d", "/v2/a%2Fb?c=d"), ("//evil.example/x", "/v2/evil.example/x")] {
        assert_eq!(rig.send(format!("GET {asked} HTTP/1.1\r\nhost: shop\r\n\r\n")).await.status, 200);
        assert_eq!(a.requests().last().unwrap().line(), format!("GET {got} HTTP/1.1"));
        assert_eq!(&*rig.record().await.target, asked);
    }
}

#[tokio::test]
async fn fields_are_set_and_removed_on_both_ways() {
    let a = Endpoint::new(|_| {
        Act::Reply(b"HTTP/1.1 200 OK\r\nserver: old/1\r\nx-old: 1\r\nx-kept: 2\r\ncontent-length: 2\r\n\r\nok".to_vec())
    })
    .await;
    let rig = treated(&a, |policy| {
        policy.request_headers = Some(edits(&[("x-tenant", "blue")], &["x-debug"]));
        policy.reply_headers = Some(edits(&[("x-frame-options", "DENY"), ("x-old", "new")], &["server"]));
    })
    .start();
    let reply = rig
        .send("GET / HTTP/1.1\r\nhost: shop\r\nx-debug: 1\r\nx-debug: 2\r\nx-tenant: red\r\nx-tenant: green\r\n\r\n")
        .await;
    let request = a.request();
    assert_eq!((request.all("x-tenant"), request.all("x-debug")), (vec!["blue"], vec![]));
    assert_eq!((reply.one("x-frame-options"), reply.one("x-old"), reply.one("x-kept")), ("DENY", "new", "2"));
    assert!(!reply.head.to_lowercase().contains("server: "), "{}", reply.head);
    assert_eq!(reply.content, "ok");
}

#[tokio::test]
async fn what_the_router_says_itself_has_the_routes_fields_too() {
    let a = Endpoint::new(|_| Act::Close).await;
    let rig =
        treated(&a, |policy| policy.reply_headers = Some(edits(&[("strict-transport-security", "max-age=9")], &[])));
    let rig = rig.start();
    let reply = rig.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!((reply.status, reply.one("strict-transport-security")), (502, "max-age=9"));
    assert_eq!(rig.record().await.tries[0].outcome, Outcome::Died);
}
