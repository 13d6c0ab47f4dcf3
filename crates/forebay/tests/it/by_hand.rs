//! The router controlled by hand: what is set is in force at once, outlives a `kill -9`, and is said to whoever asks.

use serde_json::{Value, json};

use crate::rig::alone::{self, Alone};
use crate::rig::{Home, Ran, raw};

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
