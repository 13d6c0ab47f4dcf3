//! Pages that are put together of fragments (ESI 1.0), over real sockets.

use std::io::Read;

use esi::Why;
use http::Request;
use router::access::{AccessRecord, Unfit, What};
use router::config::{CacheConfig, CompressConfig, FragmentsConfig};
use router::{RouteSpec, Routing};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use crate::endpoint::{Act, Endpoint, Received};
use crate::http2::{plain_client, read};
use crate::rig::{Proxy, Rig, eventually, proxy};

/// A page, and what it is made of.
pub(crate) fn html(content: &str) -> Act {
    with("content-type: text/html", content)
}

fn with(fields: &str, content: &str) -> Act {
    let length = content.len();
    Act::Reply(format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {length}\r\n\r\n{content}").into_bytes())
}

pub(crate) fn fails() -> Act {
    Act::Reply(b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\noh".to_vec())
}

pub(crate) fn path(request: &Received) -> &str {
    request.line().split(' ').nth(1).unwrap()
}

/// Pages that wait for their fragments however busy the machine is.
pub(crate) fn patient() -> FragmentsConfig {
    FragmentsConfig { wait_ms_max: 30_000, grace_ms: 30_000, fetch_ms_max: 30_000, ..FragmentsConfig::default() }
}

pub(crate) fn assembling(endpoint: &Endpoint) -> Proxy {
    proxy().endpoint(endpoint).policy(|policy| policy.fragments = Some(patient()))
}

/// Endpoint that has this page and for all else says its path.
pub(crate) async fn page(template: &'static str) -> Endpoint {
    Endpoint::new(move |request| match path(request) {
        "/" => html(template),
        "/fails" => fails(),
        other => html(&format!("[{other}]")),
    })
    .await
}

pub(crate) fn whats(record: &AccessRecord) -> Vec<What> {
    record.events.iter().map(|event| event.what.clone()).collect()
}

pub(crate) fn of<'a>(records: &'a [AccessRecord], target: &str) -> &'a AccessRecord {
    records.iter().find(|record| &*record.target == target).unwrap()
}

#[tokio::test]
async fn a_page_is_made_of_its_fragments() {
    let template = r#"<p><esi:include src="/a"/>, <esi:include src="b?x=1"/></p><esi:remove>no</esi:remove><esi:comment text="no"/><!--esi yes-->"#;
    let a = page(template).await;
    let rig = assembling(&a).start();
    let reply = rig.send("GET / HTTP/1.1\r\nhost: shop\r\ncookie: c=1\r\naccept-encoding: gzip\r\nrange: bytes=0-3\r\nif-none-match: \"t\"\r\n\r\n").await;
    assert_eq!((reply.status, reply.content.as_str()), (200, "<p>[/a], [/b?x=1]</p> yes"));
    assert!(reply.all("content-length").is_empty(), "{}", reply.head);
    assert_eq!(reply.one("cache-control"), "private, no-cache");
    for request in a.requests() {
        assert_eq!(request.one("surrogate-capability"), "forebay=\"ESI/1.0\"");
        assert_eq!((request.one("cookie"), request.one("host")), ("c=1", "shop"));
        for name in ["accept-encoding", "range", "if-none-match"] {
            assert!(request.all(name).is_empty(), "{}", request.head);
        }
    }
    let records = rig.records(3).await;
    let whole = of(&records, "/");
    assert_eq!(whole.reply_bytes, 25, "what went out is counted");
    for target in ["/a", "/b?x=1"] {
        let fragment = of(&records, target);
        assert_eq!((fragment.trace.trace, fragment.status), (whole.trace.trace, 200));
        assert_eq!(fragment.parent.unwrap().span, whole.trace.span);
    }
}

#[tokio::test]
async fn without_the_table_a_template_goes_out_as_it_is() {
    let a = page(r#"<esi:include src="/a"/>"#).await;
    let rig = proxy().endpoint(&a).start();
    assert_eq!(rig.get("/").await.content, r#"<esi:include src="/a"/>"#);
    assert!(a.request().all("surrogate-capability").is_empty());
}

#[tokio::test]
async fn only_pages_are_put_together() {
    const TEXT: &str = r#"<esi:include src="/a"/>"#;
    for (fields, marked_only, is_page) in [
        ("content-type: text/html; charset=utf-8", false, true),
        ("content-type: text/plain\r\netag: \"v\"", false, false),
        ("content-type: text/html\r\ncontent-encoding: br\r\netag: \"v\"", false, false),
        ("content-type: text/html\r\netag: \"v\"", true, false),
        ("content-type: text/html\r\nsurrogate-control: content=\"ESI/1.0\"\r\netag: \"v\"", true, true),
    ] {
        let a = Endpoint::new(move |request| if path(request) == "/" { with(fields, TEXT) } else { html("a") }).await;
        let rig = assembling(&a)
            .policy(|policy| policy.fragments = Some(FragmentsConfig { marked_only, ..patient() }))
            .start();
        let reply = rig.get("/").await;
        assert_eq!(reply.content, if is_page { "a" } else { TEXT }, "{fields}");
        assert_eq!(reply.all("etag").is_empty(), is_page, "{}", reply.head);
        assert!(reply.all("surrogate-control").is_empty() || !is_page);
    }
}

#[tokio::test]
async fn a_head_has_the_pages_fields_and_fetches_nothing() {
    let a = page(r#"<esi:include src="/a"/>"#).await;
    let rig = assembling(&a).start();
    let mut client = rig.client().await;
    client.send("HEAD / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    let reply = client.reply_to("HEAD").await;
    assert!(reply.all("content-length").is_empty(), "{}", reply.head);
    assert_eq!(reply.one("cache-control"), "private, no-cache");
    assert_eq!(a.requests().len(), 1);
}

#[tokio::test]
async fn all_fragments_are_under_way_at_once_and_the_slow_one_is_left_out() {
    const TEMPLATE: &str = r#"<1<esi:include src="/f/1"/>2<esi:include src="/f/2"/>3<esi:include src="/slow"/>4<esi:include src="/f/3"/><esi:include src="/f/4"/><esi:include src="/f/5"/>>"#;
    let (all, gate) = (watch::channel(0), watch::channel(false));
    // Each of the five answers only when all of them have been asked.
    let (asked, slow) = (all.0, gate.1.clone());
    let (open_five, five) = watch::channel(false);
    let a = Endpoint::new(move |request| match path(request) {
        "/" => html(TEMPLATE),
        "/slow" => Act::WhenOpen(slow.clone()),
        _ => {
            asked.send_modify(|count| *count += 1);
            if *asked.borrow() == 5 {
                open_five.send_replace(true);
            }
            Act::WhenOpen(five.clone())
        }
    })
    .await;
    let rule = FragmentsConfig { grace_ms: 10, ..patient() };
    let rig = assembling(&a).policy(|policy| policy.fragments = Some(rule)).start();
    assert_eq!(rig.get("/").await.content, "<1open2open34openopenopen>");
    assert_eq!(a.requests().len(), 7);
    let mut records = rig.records(6).await;
    let dropped = What::FragmentDropped("/slow".into(), Unfit::Slower);
    assert_eq!(dropped.to_string(), "fragment /slow dropped: the rest of its page was ready");
    assert_eq!(whats(of(&records, "/")), [dropped]);
    // It comes at last, and tells how much too late it is.
    gate.0.send_replace(true);
    records.extend(rig.records(1).await);
    let late = whats(of(&records, "/slow"));
    assert!(matches!(late[..], [What::FragmentLate(Why::Slower(_))]), "{late:?}");
    let text = late[0].to_string();
    let ms = text.strip_prefix("fragment dropped: ").and_then(|text| text.strip_suffix(" ms slower than its page"));
    assert!(ms.is_some_and(|ms| ms.parse::<u64>().is_ok()), "{text}");
}

#[tokio::test]
async fn what_stands_in_for_a_fragment_that_fails() {
    for (template, meant) in [
        (r#"<<esi:include src="/fails" alt="/b"/>>"#, "<[/b]>"),
        (r#"<<esi:include src="/fails" alt="/fails?" onerror="continue"/>>"#, "<>"),
        (r#"<<esi:include src="/fails" onerror="continue"/>>"#, "<>"),
        (
            r#"<<esi:try><esi:attempt>x<esi:include src="/fails"/></esi:attempt><esi:except>sorry <esi:include src="/c"/></esi:except></esi:try>>"#,
            "<sorry [/c]>",
        ),
        // What is decided at once is, though nothing else happens to the page.
        (
            r#"<<esi:try><esi:attempt><esi:include src="/fails"/></esi:attempt><esi:except>sorry<esi:try><esi:attempt>, really<esi:include src="/.forebay/"/></esi:attempt><esi:except>, not</esi:except></esi:try></esi:except></esi:try>>"#,
            "<sorry, not>",
        ),
        (
            r#"<<esi:try><esi:attempt><esi:include src="/a"/></esi:attempt><esi:except>sorry</esi:except></esi:try>>"#,
            "<[/a]>",
        ),
    ] {
        let a = Endpoint::new(move |request| match path(request) {
            "/" => html(template),
            fail if fail.starts_with("/fails") => fails(),
            other => html(&format!("[{other}]")),
        })
        .await;
        let rig = assembling(&a).policy(|policy| policy.retries_max = 0).start();
        assert_eq!(rig.get("/").await.content, meant, "{template}");
    }
}

#[tokio::test]
async fn variables_are_the_requests_and_escaped() {
    const TEMPLATE: &str =
        r#"<esi:include src="http://$(HTTP_HOST)/a?p=$(QUERY_STRING{p})&c=$(HTTP_COOKIE{c}|'none')"/>"#;
    let a =
        Endpoint::new(|request| if path(request).starts_with("/page") { html(TEMPLATE) } else { html(path(request)) })
            .await;
    let rig = assembling(&a).start();
    let reply = rig.send("GET /page?p=x%26y/../ HTTP/1.1\r\nhost: shop:80\r\ncookie: b=1; c=2&3\r\n\r\n").await;
    assert_eq!(reply.content, "/a?p=x%26y%2F..%2F&c=2%263");
    assert_eq!(rig.get("/page").await.content, "/a?p=&c=none");
}

#[tokio::test]
async fn template_and_fragments_are_kept_each_for_itself_and_the_page_never() {
    let a = Endpoint::new(|request| match path(request) {
        "/" => with(
            "content-type: text/html\r\ncache-control: max-age=60",
            r#"<esi:include src="/a"/><esi:include src="/b"/>"#,
        ),
        "/a" => with("cache-control: max-age=60", "kept "),
        _ => with("cache-control: no-store", "new"),
    })
    .await;
    let rig = assembling(&a).policy(|policy| policy.cache = Some(CacheConfig::default())).start();
    for _ in 0..3 {
        assert_eq!(rig.get("/").await.content, "kept new");
    }
    let mut asked: Vec<String> = a.requests().iter().map(|request| path(request).to_string()).collect();
    asked.sort();
    assert_eq!(asked, ["/", "/a", "/b", "/b", "/b"]);
}

#[tokio::test]
async fn a_late_fragment_has_a_stale_copy() {
    let (open, gate) = watch::channel(false);
    let a = Endpoint::new(move |request| match path(request) {
        "/" => html(r#"<<esi:include src="/ad" maxwait="30"/>>"#),
        // Stale at once.
        _ if !*gate.borrow() => with("content-type: text/html\r\ncache-control: max-age=0, stale-if-error=60", "old"),
        _ => Act::Hang,
    })
    .await;
    let rig = assembling(&a).policy(|policy| policy.cache = Some(CacheConfig::default())).start();
    // The first is waited for, so that there is a copy.
    assert_eq!(rig.get("/ad").await.content, "old");
    open.send_replace(true);
    assert_eq!(rig.get("/").await.content, "<old>");
    let records = rig.records(2).await;
    assert!(whats(of(&records, "/")).contains(&What::FragmentStale("/ad".into())), "{records:#?}");
}

#[tokio::test]
async fn an_older_copy_is_a_page_only_where_its_own_route_has_pages() {
    const AD: &str = r#"old<esi:include src="/x"/>"#;
    for (fields, is_page, meant) in [
        ("content-type: text/html", true, "<old[/x]>"),
        ("content-type: text/html", false, r#"<old<esi:include src="/x"/>>"#),
        ("content-type: text/plain", true, r#"<old<esi:include src="/x"/>>"#),
    ] {
        let (leave, gone) = watch::channel(false);
        let a = Endpoint::new(move |request| match path(request) {
            "/" => html(r#"<<esi:include src="/ad" maxwait="30"/>>"#),
            "/x" => html("[/x]"),
            _ if !*gone.borrow() => with(&format!("{fields}\r\ncache-control: max-age=0, stale-if-error=60"), AD),
            _ => Act::Hang,
        })
        .await;
        let rig = assembling(&a).start();
        let routing = rig.source_routing().borrow().clone();
        let mut routing = Routing::clone(&routing);
        let mut ads = RouteSpec { name: "ads".into(), path_prefix: "/ad".into(), ..routing.routes[0].clone() };
        (ads.policy.cache, ads.policy.fragments) = (Some(CacheConfig::default()), is_page.then(patient));
        routing.routes.insert(0, ads);
        rig.source.replace(routing);
        rig.handle.applied().await;
        rig.get("/ad").await;
        leave.send_replace(true);
        assert_eq!(rig.get("/").await.content, meant, "{fields}, {is_page}");
    }
}

#[tokio::test]
async fn a_fragment_without_the_mark_is_none_where_pages_must_have_it() {
    let marked = "content-type: text/html\r\nsurrogate-control: content=\"ESI/1.0\"";
    let a = Endpoint::new(move |request| match path(request) {
        "/" => with(marked, r#"<<esi:include src="/by-us"/><esi:include src="/by-anybody"/>>"#),
        "/by-us" => with(marked, r#"us<esi:include src="/x"/>"#),
        "/by-anybody" => html(r#"anybody<esi:include src="/secret"/>"#),
        other => html(&format!("[{other}]")),
    })
    .await;
    let rig = assembling(&a)
        .policy(|policy| policy.fragments = Some(FragmentsConfig { marked_only: true, ..patient() }))
        .start();
    assert_eq!(rig.get("/").await.content, r#"<us[/x]anybody<esi:include src="/secret"/>>"#);
}

#[tokio::test]
async fn a_page_is_compressed_when_it_is_whole() {
    let a = page(r#"<p><esi:include src="/a"/></p>"#).await;
    let compress = CompressConfig { bytes_min: 0, ..CompressConfig::default() };
    let rig = assembling(&a).policy(|policy| policy.compress = Some(compress)).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.0\r\nhost: shop\r\naccept-encoding: gzip\r\n\r\n").await;
    let mut raw = Vec::new();
    client.stream.read_to_end(&mut raw).await.unwrap();
    let at = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&raw[..at]).to_ascii_lowercase().contains("content-encoding: gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&raw[at..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "<p>[/a]</p>");
}

#[tokio::test]
async fn by_http2_too() {
    let a = page(r#"<p><esi:include src="/a"/></p>"#).await;
    let rig = assembling(&a).start();
    let mut client = plain_client(rig.addr).await;
    let request = Request::get("http://shop/").body(()).unwrap();
    let reply = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(read(reply).await.unwrap().0, "<p>[/a]</p>");
}

#[tokio::test]
async fn who_leaves_takes_the_fragments_along() {
    let a = Endpoint::new(|request| match path(request) {
        "/" => html(r#"<<esi:include src="/never" maxwait="600000"/>>"#),
        _ => Act::Hang,
    })
    .await;
    let rig: Rig = assembling(&a).start();
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    eventually(|| a.requests().len() == 2).await;
    drop(client);
    let records = rig.records(2).await;
    assert!(!of(&records, "/").whole);
    assert_eq!(of(&records, "/never").status, 499);
}
