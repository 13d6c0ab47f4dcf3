//! What the router shows of its work: `routes`, `upstreams`, `why`, and access logs that are moved away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::rig::alone::{self, Alone};
use crate::rig::{Home, Node, Reply, eventually, send};

fn lines(router: &Alone, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(router.home.path(file)).unwrap_or_default();
    text.lines().map(String::from).collect()
}

fn trace(reply: &Reply) -> String {
    reply.field("forebay-trace").unwrap().to_string()
}

#[test]
fn routes_and_upstreams_are_listed_with_what_they_do() {
    let endpoint = alone::endpoint("ok");
    let router = Alone::in_front_of(&[endpoint], &[]);
    assert_eq!(router.get("/").status, 200);
    let listed = |verb: &str| -> Value {
        let ran = router.home.forebay(&[verb, "--json", "--window", "50ms"]).ok();
        let listing: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(listing["schema"], 1);
        listing["items"][0].clone()
    };
    let route = eventually("the request is counted", || {
        let row = listed("routes");
        (row["answered"]["2xx"] == 1).then_some(row)
    });
    assert_eq!(
        (&route["route"], &route["upstream"], &route["breaker"]),
        (&"/".into(), &"shop".into(), &"closed".into())
    );
    assert!(route["now"]["window_s"].as_f64().unwrap() >= 0.05, "{route}");
    let row = listed("upstreams");
    assert_eq!(
        (&row["endpoint"], &row["state"], &row["tries"]["2xx"]),
        (&endpoint.to_string().into(), &"up".into(), &1.into())
    );
    let table = router.home.forebay(&["upstreams", "--window", "1ms"]).ok().stdout;
    assert!(table.starts_with("UPSTREAM") && table.contains(&endpoint.to_string()), "{table}");
}

#[test]
fn an_access_log_that_was_moved_away_begins_anew() {
    let home = Home::new();
    alone::write_config(&home, &[alone::endpoint("ok")]);
    let log = home.path("access.log");
    let router = Alone::serve(home, &["--access-log-format", "combined", "--access-log", log.to_str().unwrap()]);
    let get = |target: &str| {
        let head = format!("GET {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n");
        send(router.http, &format!("{head}Referer: https://a.example/\r\nUser-Agent: a \"browser\"\r\n\r\n")).unwrap()
    };
    assert_eq!(get("/first").status, 200);
    let first = eventually("the first line", || lines(&router, "access.log").first().cloned());
    let (before, after) = first.split_once(" - - [").unwrap();
    let (_, rest) = after.split_once("] ").unwrap();
    assert_eq!(before, "127.0.0.1");
    assert_eq!(rest, "\"GET /first HTTP/1.1\" 200 2 \"https://a.example/\" \"a \\x22browser\\x22\"");

    std::fs::rename(&log, router.home.path("access.log.1")).unwrap();
    kill_process(Pid::from_child(&router.child.0), Signal::USR1).unwrap();
    let moved = eventually("a line in the new file", || {
        assert_eq!(get("/second").status, 200);
        lines(&router, "access.log").first().cloned()
    });
    assert!(moved.contains("/second"), "{moved}");
    assert!(lines(&router, "access.log.1")[0].contains("/first"));
}

#[test]
fn why_explains_a_request_of_a_router_alone_by_its_access_log() {
    let home = Home::new();
    alone::write_config(&home, &[alone::endpoint("ok")]);
    let log = home.path("access.json");
    let router = Alone::serve(home, &["--access-log", log.to_str().unwrap()]);
    router.home.forebay(&["fault", "add", "/", "--error", "503", "--why", "a test"]).ok();
    let id = trace(&router.get("/cart"));
    eventually("the line", || lines(&router, "access.json").iter().any(|line| line.contains(&id)).then_some(()));
    let told = router.home.forebay(&["why", &id, "--access-log", log.to_str().unwrap()]).ok().stdout;
    for words in
        ["GET shop/cart: 503\n", "route  /, to shop\n", "a fault set by hand: error 503\n", "answered 503, after"]
    {
        assert!(told.contains(words), "`{words}` is missing in\n{told}");
    }
    let unknown = "4bf92f3577b34da6a3ce929d0e0e4736";
    router.home.forebay(&["why", unknown, "--access-log", log.to_str().unwrap()]).failed(3, "no_such_request");
    router.home.forebay(&["why", &id]).failed(3, "no_log_store").says(&["why TRACE --access-log FILE"]);
}

/// Answers when it has waited for so long.
fn slow_endpoint(wait: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                while stream.read(&mut head).is_ok_and(|read| read > 0) {
                    std::thread::sleep(wait);
                    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow";
                    if stream.write_all(reply).is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

#[test]
fn why_explains_a_request_that_was_hedged() {
    let home = Home::new();
    let slow = slow_endpoint(Duration::from_secs(5));
    alone::write_config(&home, &[slow, alone::endpoint("fast")]);
    let config = std::fs::read_to_string(home.path("router.toml")).unwrap();
    home.write("router.toml", &format!("{config}hedge = {{ delay_ms = 20 }}\n"));
    let log = home.path("access.json");
    let router = Alone::serve(home, &["--access-log", log.to_str().unwrap()]);
    let hedged = eventually("a hedge", || {
        let reply = router.get("/cart");
        assert_eq!(reply.body, "fast");
        let id = trace(&reply);
        let line = eventually("its line", || lines(&router, "access.json").into_iter().find(|line| line.contains(&id)));
        line.contains("\"hedge\"").then_some(id)
    });
    let told = router.home.forebay(&["why", &hedged, "--access-log", log.to_str().unwrap()]).ok().stdout;
    let order: Vec<usize> = [
        "GET shop/cart: 200\n".to_string(),
        format!("try at {slow}: cancelled"),
        "hedge at ".into(),
        "answered 200, after".into(),
    ]
    .iter()
    .map(|words| told.find(words.as_str()).unwrap_or_else(|| panic!("`{words}` is missing in\n{told}")))
    .collect();
    assert!(order.is_sorted(), "{told}");
}

#[test]
fn why_explains_a_request_of_a_node_by_its_logs() {
    let node = Node::with_shop();
    node.ready("web", 2);
    let id = trace(&node.get("/"));
    let told = eventually("the record", || {
        let ran = node.home.forebay(&["why", &id]);
        (ran.code == Some(0)).then_some(ran.stdout)
    });
    assert!(
        told.starts_with("GET shop/: 200\n") && told.contains("route  shop/production/, to shop/production/web"),
        "{told}"
    );
    assert!(told.contains("try at web."), "{told}");
    let record = node.items(&["why", &id]).remove(0);
    assert_eq!((&record["status"], &record["trace"]), (&200.into(), &id.as_str().into()));
}
