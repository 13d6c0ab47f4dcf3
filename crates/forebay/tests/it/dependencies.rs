//! What applications depend on: checked once per node, and an application whose dependency is down is degraded and serves on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};

use serde_json::Value;
use testkit::prometheus::{parse, value};

use crate::rig::alone::token;
use crate::rig::{Home, Node, eventually, raw};

/// A service that answers with this status, and counts who asks.
#[derive(Clone, Default)]
struct Service {
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

impl Service {
    fn start(status: u16) -> (Service, SocketAddr) {
        let service = Service::default();
        service.status.store(status, SeqCst);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, it) = (listener.local_addr().unwrap(), service.clone());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut head = [0; 1024];
                let read = stream.read(&mut head).unwrap_or_default();
                assert!(head[..read].starts_with(b"GET /up HTTP/1.1\r\n"), "{:?}", &head[..read]);
                it.asked.fetch_add(1, SeqCst);
                let reply = format!("HTTP/1.1 {} X\r\ncontent-length: 0\r\n\r\n", it.status.load(SeqCst));
                stream.write_all(reply.as_bytes()).unwrap_or_default();
            }
        });
        (service, addr)
    }
}

/// An application of three instances with a database, a search and a replica whose lag stands in a file.
fn deployed(tcp: SocketAddr, http: SocketAddr) -> Node {
    let home = Home::new();
    let config = std::fs::read_to_string(home.path("node.toml")).unwrap();
    home.write("node.toml", &format!("{config}[router]\ntrusted_peers = [\"127.0.0.1\"]\n"));
    let lag = home.write("lag", "0.5\n");
    std::fs::set_permissions(&lag, std::fs::Permissions::from_mode(0o644)).unwrap();
    let manifest = format!(
        "schema = 1\napp = \"store\"\n[processes.web]\ncommand = \"python3 -m http.server --bind 127.0.0.1 $PORT\"\n\
         instances = 3\n[[routes]]\nprocess = \"web\"\n\
         [dependencies.db]\ntcp = \"{tcp}\"\ninterval_ms = 100\n\
         [dependencies.search]\nhttp = \"http://{http}/up\"\ninterval_ms = 100\n\
         [dependencies.replica]\ncommand = \"cat {}\"\ncommand_number_max = 2\ninterval_ms = 100\nfall = 1\n",
        lag.display()
    );
    let folder = home.write("store/forebay.toml", &manifest).parent().unwrap().to_path_buf();
    let node = Node::start_in(home, &["node"]);
    node.home.forebay(&["deploy".as_ref(), folder.as_os_str()]).ok();
    node.ready("web", 3);
    node
}

fn health(node: &Node) -> Value {
    let reply = node.get("/.forebay/health/store");
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn ps(node: &Node) -> String {
    node.home.forebay(&["ps"]).ok().stdout
}

/// What the node has said of dependencies: level, name and reason.
fn said(node: &Node) -> Vec<(String, String, String)> {
    let rows = node.lines(&["logs", "dependency"]);
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let of_node = rows.iter().filter(|row| row["source"] == "node" && row["fields"]["dependency"].is_string());
    of_node
        .map(|row| (text(row, "level"), text(&row["fields"], "dependency"), text(&row["fields"], "reason")))
        .collect()
}

#[test]
fn an_application_whose_dependencies_go_down_is_degraded_says_why_and_serves_on() {
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let (search, search_addr) = Service::start(200);
    let node = deployed(database.local_addr().unwrap(), search_addr);
    eventually("all is well", || (health(&node)["state"] == "up").then_some(()));
    assert_eq!(health(&node)["dependencies"]["up"], 3);
    assert!(!ps(&node).contains("depends on"), "{}", ps(&node));
    let before = search.asked.load(SeqCst);
    eventually("ten checks", || (search.asked.load(SeqCst) >= before + 10).then_some(()));

    let addr = database.local_addr().unwrap();
    drop(database);
    search.status.store(503, SeqCst);
    node.home.write("lag", "7\n");
    eventually("all three are down", || (health(&node)["dependencies"]["down"] == 3).then_some(()));
    let found = health(&node);
    assert_eq!((&found["state"], &found["endpoints"]["healthy"]), (&"degraded".into(), &3.into()));
    let reasons: Vec<&Value> =
        found["details"]["dependencies"].as_array().unwrap().iter().map(|row| &row["reason"]).collect();
    assert_eq!(reasons, ["connection refused", "it is 7, more than 2", "answered 503"]);
    assert_eq!(node.get("/").status, 200, "nobody is ejected for it");
    let table = ps(&node);
    for line in [
        "store/production is degraded: it depends on db, which is down: connection refused",
        "store/production is degraded: it depends on replica, which is down: it is 7, more than 2",
        "store/production is degraded: it depends on search, which is down: answered 503",
    ] {
        assert!(table.contains(line), "`{line}` is missing in\n{table}");
    }
    let rows: Value = serde_json::from_str(&node.home.forebay(&["ps", "--json"]).ok().stdout).unwrap();
    let row = &rows["dependencies"][0];
    assert_eq!((&row["app"], &row["dependency"], &row["health"]), (&"store".into(), &"db".into(), &"unhealthy".into()));
    let told = eventually("the log has it", || Some(said(&node)).filter(|said| said.len() >= 3));
    assert!(told.contains(&("warning".into(), "replica".into(), "it is 7, more than 2".into())), "{told:?}");

    let admin: SocketAddr = node.at.admin.parse().unwrap();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
        token(&node.home.data())
    );
    let page = raw(admin, request.as_bytes()).unwrap();
    let samples = parse(page.split_once("\r\n\r\n").unwrap().1);
    let up = |name| value(&samples, "forebay_dependency_up", &[("app", "store/production"), ("dependency", name)]);
    assert_eq!([up("db"), up("search"), up("replica")], [0.0; 3]);

    let _database = TcpListener::bind(addr).unwrap();
    search.status.store(204, SeqCst);
    node.home.write("lag", "1\n");
    eventually("all is well again", || (health(&node)["state"] == "up").then_some(()));
    let told = eventually("the log has that too", || Some(said(&node)).filter(|said| said.len() >= 6));
    assert!(told.contains(&("info".into(), "db".into(), String::new())), "{told:?}");
}
