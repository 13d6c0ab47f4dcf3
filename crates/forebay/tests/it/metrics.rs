//! `GET /metrics`, as Prometheus asks for it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use testkit::prometheus::{parse, value};

use crate::rig::alone::{self, Alone};
use crate::rig::{Home, Node, raw};

/// The page behind the token of this data folder.
fn page(admin: SocketAddr, home: &Home) -> String {
    let token = alone::token(&home.data());
    let request =
        format!("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n");
    let reply = raw(admin, request.as_bytes()).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    body.to_string()
}

fn families(text: &str, mark: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.strip_prefix(mark)?.split([' ', '`']).next()).map(String::from).collect()
}

#[test]
fn a_router_alone_says_its_figures_behind_the_token() {
    let router = Alone::in_front_of(&[alone::endpoint("ok")], &["--admin", "127.0.0.1:0"]);
    let admin = alone::bound(&router.home.said(), "admin").unwrap();
    assert!(raw(admin, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap().contains(" 401 "));
    for _ in 0..3 {
        assert_eq!(router.get("/").body, "ok");
    }
    let samples = parse(&page(admin, &router.home));
    assert_eq!(value(&samples, "forebay_router_requests_total", &[("route", "/"), ("status", "2xx")]), 3.0);
    assert_eq!(value(&samples, "forebay_plane", &[("plane", "router"), ("state", "running")]), 1.0);
    assert!(value(&samples, "process_resident_memory_bytes", &[]) > 1e6);
}

#[test]
fn a_node_says_the_figures_of_all_planes_and_the_table_of_metrics_lists_them() {
    let node = Node::with_shop();
    node.ready("web", 2);
    assert_eq!(node.get("/").status, 200);
    node.order("tea").unwrap();
    node.home.forebay(&["degrade", "shop", "2", "--for", "10m", "--why", "the sale begins"]).ok();
    node.home.forebay(&["degrade", "nobody", "2"]).failed(3, "no_such_app");
    let page = page(node.at.admin.parse().unwrap(), &node.home);
    let samples = parse(&page);
    let route = ("route", "shop/production/");
    assert!(value(&samples, "forebay_router_requests_total", &[route, ("status", "2xx")]) >= 2.0);
    assert_eq!(value(&samples, "forebay_queue_put_total", &[("app", "shop"), ("tube", "orders")]), 1.0);
    assert_eq!(value(&samples, "forebay_router_degrade_level", &[("app", "shop/production")]), 2.0);
    node.home.forebay(&["degrade", "shop", "auto"]).ok();
    assert!(value(&samples, "forebay_logs_records_total", &[]) > 0.0);

    let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md")).unwrap();
    assert_eq!(families(&table, "| `"), families(&page, "# TYPE "), "docs/metrics.md lists what there is");
}
