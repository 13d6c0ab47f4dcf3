//! What operators see and do.

use std::collections::BTreeMap;

use control::wire::{Listing, QueueRow};
use queue::config::TubeConfig;

use crate::rig::{Client, Forebay, block_on};

#[test]
fn rows_tell_of_every_tube() {
    let ours = Forebay::start();
    let mut client = ours.connect();
    client.ask("use mail");
    client.put("0 0 60", "hello");
    client.put("5 1000 60", "later");
    let rows = block_on(ours.handle.rows()).unwrap();
    let mail = rows.iter().find(|row| row.tube == "mail").unwrap();
    assert_eq!((mail.ready, mail.delayed, mail.reserved, mail.buried), (1, 1, 0, 0));
    assert_eq!((mail.bytes, mail.total, mail.waiting), (10, 2, 0));
    assert!(mail.oldest_ready_ms.unwrap() < 60_000);
    assert_eq!(mail.durability, "disk");
}

#[test]
fn the_admin_route_answers_with_a_listing() {
    let ours = Forebay::start();
    let listing: Listing<QueueRow> = block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let routes = queue::admin::routes(ours.handle.clone());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        let reply = tokio::task::spawn_blocking(move || {
            let mut client = Client::connect(addr);
            client.send(b"GET /v1/queues HTTP/1.0\r\n\r\n");
            client.hear_to_the_end()
        })
        .await
        .unwrap();
        server.abort();
        let reply = String::from_utf8(reply).unwrap();
        serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap()
    });
    assert_eq!((listing.schema, listing.items.len()), (1, 1));
    assert_eq!(listing.items[0].tube, "default");
}

#[test]
fn a_draining_queue_takes_no_jobs_and_gives_those_it_has() {
    let ours = Forebay::start();
    let mut client = ours.connect();
    let id = client.put("0 0 60", "x");
    block_on(ours.handle.drain_mode(true)).unwrap();
    while client.stat("stats", "draining") != "true" {}
    assert_eq!(client.ask("put 0 0 60 1\r\ny"), "DRAINING");
    assert_eq!(client.ask_all("reserve"), format!("RESERVED {id} 1\nx"));
    assert_eq!(ours.handle.status().row().state, "draining");
    block_on(ours.handle.drain_mode(false)).unwrap();
    while client.stat("stats", "draining") != "false" {}
    client.put("0 0 60", "y");
}

#[test]
fn a_manifest_sets_the_limits_of_its_tubes() {
    let ours = Forebay::start();
    let one = TubeConfig { jobs_max: 1, ..TubeConfig::default() };
    let scope: stdx::ids::Scope = "shop".parse().unwrap();
    block_on(ours.handle.configure(scope, BTreeMap::from([("orders".into(), one)]))).unwrap();
    // The shared namespace is not the application's.
    let mut client = ours.connect();
    client.ask("use orders");
    client.put("0 0 60", "x");
    client.put("0 0 60", "y");
}

#[test]
fn after_stop_the_folder_is_free_and_the_handle_says_so() {
    let ours = Forebay::start();
    block_on(ours.handle.stop());
    assert_eq!(ours.handle.status().row().state, "stopped");
    assert_eq!(block_on(ours.handle.rows()).unwrap_err().code, "queue_unavailable");
    block_on(ours.handle.stop());
    let again = crate::rig::start_in(ours.folder.path(), crate::rig::config()).unwrap();
    block_on(again.stop());
}
