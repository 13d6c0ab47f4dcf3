//! The router controlled by hand: what is set is in force at once, outlives a `kill -9`, and is said to whoever asks.

use serde_json::{Value, json};

use crate::rig::alone::{self, Alone};
use crate::rig::{Home, Node, Ran, eventually, raw};

fn items(ran: Ran) -> Vec<Value> {
    let listing: Value = serde_json::from_str(&ran.ok().stdout).unwrap();
    assert_eq!(listing["schema"], 1);
    listing["items"].as_array().unwrap().clone()
}

#[test]
fn a_breaker_tripped_by_hand_stays_open_through_a_crash_until_it_is_taken_back() {
    let router = Alone::in_front_of(&[alone::endpoint("ok")], &[]);
    assert_eq!(router.get("/").body, "ok");
    router.home.forebay(&["breaker", "trip", "/"]).failed(2, "override_malformed").says(&["for a reason"]);
    let trip = ["breaker", "trip", "/", "--for", "10m", "--why", "the database is moved"];
    router.home.forebay(&trip).ok().says(&["1: breaker of / tripped, until "]);
    assert_eq!(router.get("/").status, 503);

    let router = router.again(&[]);
    assert_eq!(router.get("/").status, 503);
    let rows = items(router.home.forebay(&["breaker", "ls", "--json"]));
    assert_eq!(
        (&rows[0]["set"], &rows[0]["route"], &rows[0]["state"], &rows[0]["why"]),
        (&json!("breaker"), &json!("/"), &json!("tripped"), &json!("the database is moved"))
    );
    router.home.forebay(&["breaker", "auto", "/", "--why", "done"]).ok();
    assert_eq!(router.get("/").body, "ok");
    router.home.forebay(&["breaker", "auto", "/"]).failed(3, "no_such_override");

    let uid = format!("uid {}", rustix::process::geteuid().as_raw());
    let trail = items(router.home.forebay(&["breaker", "log", "--json"]));
    let said: Vec<_> = trail.iter().map(|row| (&row["action"], &row["who"], &row["why"])).collect();
    let who = json!(uid);
    assert_eq!(
        said,
        [(&json!("set"), &who, &json!("the database is moved")), (&json!("cleared"), &who, &json!("done"))]
    );
    let log = std::fs::read_to_string(router.home.data().join("node.log")).unwrap();
    assert!(log.contains("by hand: set id=1 what=breaker of / tripped"), "{log}");
}

#[test]
fn what_is_set_for_a_time_ends_by_itself_through_a_crash_and_a_breaker_kept_closed_stays() {
    let router = Alone::in_front_of(&[alone::endpoint("ok")], &[]);
    router.home.forebay(&["breaker", "trip", "/", "--for", "3s", "--why", "a short one"]).ok();
    let router = router.again(&[]);
    eventually("it has expired", || (router.get("/").status == 200).then_some(()));
    assert_eq!(items(router.home.forebay(&["breaker", "ls", "--json"])), [] as [Value; 0]);
    router.home.forebay(&["breaker", "close", "/", "--for", "10m", "--why", "it is too eager"]).ok();
    let router = router.again(&[]);
    let row = items(router.home.forebay(&["breaker", "ls", "--json"])).remove(0);
    assert_eq!((&row["state"], &row["why"]), (&json!("closed"), &json!("it is too eager")));
    assert!(!router.home.data().join("releases").exists(), "a router has no releases");
    router.home.forebay(&["ps"]).ok();
}

/// Answers with the degrade level that it is told.
const ECHO: &str = r#"
import http.server, os
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        level = str(self.headers.get("Forebay-Degrade")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(level)))
        self.end_headers()
        self.wfile.write(level)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Echo).serve_forever()
"#;

#[test]
fn an_application_is_degraded_by_hand_is_told_so_and_stays_so_through_a_crash() {
    let mut node = Node::start();
    let manifest =
        "schema = 1\napp = \"echo\"\n[processes.web]\ncommand = \"python3 echo.py\"\n[[routes]]\nprocess = \"web\"\n";
    node.home.write("echo/echo.py", ECHO);
    let folder = node.home.write("echo/forebay.toml", manifest);
    node.home.forebay(&["deploy".as_ref(), folder.parent().unwrap().as_os_str()]).ok();
    node.ready("web", 1);
    assert_eq!(node.get("/").body, "None");
    node.home.forebay(&["degrade", "echo", "2", "--for", "10m", "--why", "the sale begins"]).ok();
    assert_eq!(node.get("/").body, "2");
    node.kill();
    node.start_again();
    assert_eq!(eventually("it serves again", || Some(node.get("/")).filter(|reply| reply.status == 200)).body, "2");
    node.home.forebay(&["degrade", "echo", "auto", "--why", "it is over"]).ok();
    assert_eq!(node.get("/").body, "None");
}

#[test]
fn an_application_in_maintenance_answers_by_itself_through_a_crash_and_a_route_alone_can_be() {
    let mut node = Node::start();
    let manifest = "schema = 1\napp = \"echo\"\n[processes.web]\ncommand = \"python3 echo.py\"\n[[routes]]\nprocess = \"web\"\n\
         [[routes]]\npath_prefix = \"/admin\"\nprocess = \"web\"\n";
    node.home.write("echo/echo.py", ECHO);
    let folder = node.home.write("echo/forebay.toml", manifest);
    node.home.forebay(&["deploy".as_ref(), folder.parent().unwrap().as_os_str()]).ok();
    node.ready("web", 1);
    node.home.forebay(&["maintenance", "on", "other"]).failed(3, "no_such_app");
    let on = ["maintenance", "on", "echo", "--for", "10m", "--message", "back at noon", "--why", "a migration"];
    node.home.forebay(&on).ok().says(&["maintenance of echo/production"]);
    let reply = node.get("/admin");
    assert_eq!((reply.status, reply.body.as_str()), (503, "back at noon\n"));
    node.kill();
    node.start_again();
    assert_eq!(
        eventually("it serves again", || Some(node.get("/")).filter(|reply| reply.status == 503)).body,
        "back at noon\n"
    );
    let row = items(node.home.forebay(&["maintenance", "ls", "--json"])).remove(0);
    assert_eq!((&row["of"]["app"], &row["retry_after_s"]), (&json!({"app": "echo", "env": "production"}), &json!(600)));
    let routes = items(node.home.forebay(&["routes", "--json"]));
    assert!(routes.iter().all(|route| route["maintenance"] == true), "{routes:?}");
    node.home.forebay(&["maintenance", "off", "echo"]).ok();
    node.home.forebay(&["maintenance", "on", "echo/production/admin"]).ok();
    assert_eq!((node.get("/").status, node.get("/admin").status), (200, 503));
    node.home.forebay(&["maintenance", "off", "echo/production/admin"]).ok();
    assert_eq!(node.get("/admin").status, 200);
    node.home.forebay(&["maintenance", "off", "echo"]).failed(3, "no_such_override");
}

#[test]
fn a_fault_is_added_met_listed_and_removed() {
    let router = Alone::in_front_of(&[alone::endpoint("ok")], &[]);
    router.home.forebay(&["fault", "add", "/shop", "--reset"]).failed(3, "no_such_route").says(&["| /"]);
    router.home.forebay(&["fault", "add", "/", "--error", "503"]).ok();
    assert_eq!(router.get("/").status, 503);
    let row = items(router.home.forebay(&["fault", "ls", "--json"])).remove(0);
    assert_eq!((&row["error"], &row["share_percent"]), (&json!(503), &json!(100.0)));
    assert_eq!(row["until_ns"].as_u64().unwrap() - row["since_ns"].as_u64().unwrap(), 300_000_000_000);
    let table = router.home.forebay(&["fault", "ls"]).ok().stdout;
    assert!(table.contains("fault on /: error 503 for 100% of tries"), "{table}");
    router.home.forebay(&["fault", "rm", "/"]).ok();
    assert_eq!(router.get("/").status, 200);
    router.home.forebay(&["fault", "rm", "1"]).failed(3, "no_such_override");
}

#[test]
fn damaged_overrides_are_an_error_with_a_name() {
    let home = Home::new();
    home.write("data/router/overrides", "forebay overrides 1 crc32c=00000000\n{}");
    alone::write_config(&home, &[alone::endpoint("ok")]);
    let serve = ["router", "serve", "--config", home.path("router.toml").to_str().unwrap()].map(String::from);
    home.forebay(&serve).failed(1, "overrides_malformed").says(&["move the file away"]);
}

#[test]
fn the_admin_api_of_a_router_alone_wants_its_token_on_tcp() {
    let router = Alone::in_front_of(&[alone::endpoint("ok")], &["--admin", "127.0.0.1:0"]);
    let admin = alone::bound(&router.home.said(), "admin").unwrap();
    let ask = |field: &str| {
        let request = format!("GET /v1/router/overrides HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{field}\r\n");
        raw(admin, request.as_bytes()).unwrap()
    };
    assert!(ask("").starts_with("HTTP/1.1 401 "));
    let token = alone::token(&router.home.data());
    let reply = ask(&format!("authorization: Bearer {token}\r\n"));
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("{\"schema\":1,\"items\":[]}"), "{reply}");
}
