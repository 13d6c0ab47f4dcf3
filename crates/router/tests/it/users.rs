//! Routes that ask for a name and a password, and routes that are being worked on.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use control::wire::router::{Maintenance, OverrideRequest, Setting, Subject};
use router::config::{BasicAuthConfig, CacheConfig, FallbackConfig, RoutePolicy, User};

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Proxy, Rig, proxy};

fn users(names: &[(&str, &str)]) -> BasicAuthConfig {
    // The cheapest that there is: what is tried here is not bcrypt.
    let line = |(name, password): &(&str, &str)| User::line(&format!("{name}:{}", bcrypt::hash(password, 4).unwrap()));
    BasicAuthConfig { realm: "staff".into(), users: names.iter().map(line).collect(), users_file: None }
}

fn guarded(endpoint: &Endpoint, change: impl FnOnce(&mut RoutePolicy)) -> Proxy {
    let users = users(&[("ann", "s3cret"), ("bob", "other:one")]);
    proxy().endpoint(endpoint).policy(|policy| policy.basic_auth = Some(users)).policy(change)
}

fn asking(path: &str, name: &str, password: &str) -> String {
    let sent = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("GET {path} HTTP/1.1\r\nhost: shop\r\nauthorization: Basic {sent}\r\nforebay-user: root\r\n\r\n")
}

#[tokio::test]
async fn only_those_with_the_right_password_come_in_and_the_application_knows_who() {
    let a = Endpoint::saying("ok").await;
    let rig = guarded(&a, |_| {}).start();
    for (name, password, status) in [
        ("ann", "s3cret", 200),
        ("ann", "s3cret", 200),
        ("bob", "other:one", 200),
        ("ann", "S3cret", 401),
        ("ann", "", 401),
        ("eve", "s3cret", 401),
        ("", "s3cret", 401),
    ] {
        let reply = rig.send(asking("/", name, password)).await;
        assert_eq!(reply.status, status, "{name} {password}");
        if status == 401 {
            assert_eq!(reply.one("www-authenticate"), "Basic realm=\"staff\", charset=\"UTF-8\"");
        }
    }
    assert_eq!(rig.get("/").await.status, 401);
    let requests = a.requests();
    let told: Vec<&str> = requests.iter().map(|request| request.one("forebay-user")).collect();
    assert_eq!(told, ["ann", "ann", "bob"], "and never what a client claims");
    let causes: Vec<_> = rig.records(8).await.into_iter().filter_map(|record| record.cause).collect();
    assert_eq!(causes.len(), 5);
    assert!(causes.iter().all(|cause| !cause.contains("s3cret")), "{causes:?}");
}

#[tokio::test]
async fn answers_to_one_user_are_not_kept_for_another_nor_for_strangers() {
    let asked = AtomicUsize::new(0);
    let a = Endpoint::new(move |_| {
        let n = asked.fetch_add(1, SeqCst);
        Act::Reply(format!("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 1\r\n\r\n{n}").into_bytes())
    })
    .await;
    let rig = guarded(&a, |policy| policy.cache = Some(CacheConfig::default())).start();
    assert_eq!(rig.send(asking("/", "ann", "s3cret")).await.content, "0");
    assert_eq!(rig.send(asking("/", "bob", "other:one")).await.content, "1");
    assert_eq!(rig.get("/").await.status, 401);
}

#[tokio::test]
async fn too_many_who_wait_for_their_password_are_told_so_and_those_known_still_come_in() {
    let a = Endpoint::saying("ok").await;
    // Dear enough that all of them are there before the first is done.
    let dear = User::line(&format!("dan:{}", bcrypt::hash("x", 12).unwrap()));
    let rig = guarded(&a, |policy| policy.basic_auth.as_mut().unwrap().users.push(dear))
        .config(|config| (config.password_checks_max, config.password_waits_max) = (1, 2))
        .start();
    assert_eq!(rig.send(asking("/", "ann", "s3cret")).await.status, 200);
    let mut waiting = Vec::new();
    for n in 0..8 {
        let mut client = rig.client().await;
        client.send(asking("/", "dan", &format!("wrong {n}"))).await;
        waiting.push(client);
    }
    assert_eq!(rig.send(asking("/", "ann", "s3cret")).await.status, 200, "nothing to compare");
    let mut statuses = Vec::new();
    for mut client in waiting {
        statuses.push(client.reply().await.status);
    }
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert!(count(503) > 0 && count(401) > 0 && count(503) + count(401) == 8, "{statuses:?}");
}

fn work_on(rig: &Rig, of: Subject, maintenance: Maintenance) -> u64 {
    let setting = Setting::Maintenance { of, maintenance };
    let request = OverrideRequest { setting, for_ms: None, why: None };
    rig.handle.set_by_hand(request, "uid 7".into()).unwrap().id
}

#[tokio::test]
async fn a_route_that_is_worked_on_answers_for_itself_but_to_those_let_in() {
    let a = Endpoint::saying("ok").await;
    let page = FallbackConfig { text: Some("<p>soon".into()), ..FallbackConfig::default() };
    let rig = proxy().endpoint(&a).policy(|policy| policy.fallback = Some(page)).start();
    let maintenance = Maintenance { message: None, retry_after_s: 90, allow: vec!["198.51.100.0/24".into()] };
    let id = work_on(&rig, Subject::Route("web".into()), maintenance.clone());
    let reply = rig.get("/").await;
    assert_eq!((reply.status, reply.one("retry-after"), reply.content.as_str()), (503, "90", "<p>soon"));
    let from = |client| format!("GET / HTTP/1.1\r\nhost: shop\r\nx-forwarded-for: {client}\r\n\r\n");
    assert_eq!(rig.send(from("198.51.100.7")).await.content, "ok");
    assert_eq!(rig.send(from("203.0.113.7")).await.status, 503);
    assert_eq!(rig.records(3).await[0].cause.as_deref(), Some("its route is in maintenance, by hand"));
    let said = Maintenance { message: Some("back at noon".into()), allow: Vec::new(), ..maintenance };
    let id_of_message = work_on(&rig, Subject::Route("web".into()), said);
    assert_eq!(rig.get("/").await.content, "back at noon\n");
    assert!(rig.handle.clear_by_hand(id, "uid 7".into(), None).is_err(), "it was replaced");
    rig.handle.clear_by_hand(id_of_message, "uid 7".into(), None).unwrap();
    assert_eq!(rig.get("/").await.content, "ok");
    let state = rig.handle.set_rows();
    assert_eq!(state, []);
}

#[tokio::test]
async fn what_cannot_be_worked_on_is_refused() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).start();
    let plain = Maintenance { message: None, retry_after_s: 1, allow: Vec::new() };
    let networks = Maintenance { allow: vec!["nobody".into()], ..plain.clone() };
    let long = Maintenance { message: Some("x".repeat(5_000)), ..plain.clone() };
    for (of, maintenance) in [
        (Subject::Route("elsewhere".into()), plain.clone()),
        (Subject::App("other".parse().unwrap()), plain),
        (Subject::Route("web".into()), networks),
        (Subject::Route("web".into()), long),
    ] {
        let setting = Setting::Maintenance { of, maintenance };
        let request = OverrideRequest { setting, for_ms: None, why: None };
        assert!(rig.handle.set_by_hand(request, "uid 7".into()).is_err());
    }
    assert_eq!(rig.get("/").await.status, 200);
}
