//! Applications see their own tubes only, and their traces are told.

use std::sync::{Arc, Mutex};

use queue::{JobChange, JobEvent, JobSink, Namespace, NoSink, TokenSource};
use stdx::ids::Scope;

use crate::rig::{Client, block_on, config, deps_with};

/// `token-shop` opens shop, `token-blog` opens blog.
struct Two;

impl TokenSource for Two {
    fn namespace(&self, token: &str) -> Option<Scope> {
        token.strip_prefix("token-")?.parse().ok()
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<JobEvent>>);

impl JobSink for Heard {
    fn record(&self, event: JobEvent) {
        self.0.lock().unwrap().push(event);
    }

    fn alert(&self, _event: queue::AlertEvent) {}
}

#[test]
fn a_token_opens_the_tubes_of_its_application_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let handle =
        queue::start(config(), folder.path().join("queue"), deps_with(Arc::new(Two), Arc::new(NoSink))).unwrap();
    let connect = || Client::connect(handle.bound()[0]);
    let (mut shop, mut blog, mut other) = (connect(), connect(), connect());
    assert_eq!(shop.ask("auth token-shop"), "AUTHORIZED");
    assert_eq!(blog.ask("auth token-blog"), "AUTHORIZED");
    for client in [&mut shop, &mut blog, &mut other] {
        assert_eq!(client.ask("use orders"), "USING orders");
    }
    let ids = [shop.put("0 0 60", "tea"), blog.put("0 0 60", "post"), other.put("0 0 60", "none")];
    assert_eq!(ids, [1, 2, 3], "ids are of all namespaces together");

    assert_eq!(blog.ask("peek 1"), "NOT_FOUND");
    assert_eq!(blog.ask("delete 1"), "NOT_FOUND");
    assert_eq!(other.ask("stats-job 1"), "NOT_FOUND");
    assert_eq!(blog.ask("reserve-job 3"), "NOT_FOUND");
    assert_eq!(blog.ask("kick-job 1"), "NOT_FOUND");
    assert_eq!(blog.stat("stats", "total-jobs"), "1");
    assert_eq!(blog.stat("stats", "current-connections"), "1");
    assert_eq!(shop.ask_all("list-tubes"), "OK 23\n---\n- default\n- orders\n");
    blog.ask("watch orders");
    assert_eq!(blog.ask_all("reserve"), "RESERVED 2 4\npost");
    assert_eq!(blog.ask("reserve-with-timeout 0"), "TIMED_OUT");

    let rows = block_on(handle.rows()).unwrap();
    let named: Vec<String> = rows
        .iter()
        .filter(|row| row.tube == "orders")
        .map(|row| row.app.as_ref().map_or("shared".into(), ToString::to_string))
        .collect();
    assert_eq!(named, ["shared", "blog", "shop"]);
}

#[test]
fn a_job_with_a_trace_is_told_from_put_to_delete() {
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(Heard::default());
    let deps = deps_with(Arc::new(Two), Arc::clone(&heard) as Arc<dyn JobSink>);
    let handle = queue::start(config(), folder.path().join("queue"), deps).unwrap();
    let mut client = Client::connect(handle.bound()[0]);
    client.ask("auth token-shop");
    client.put("0 0 60", "untraced");
    client.ask("trace 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let id = client.put("0 0 60", "traced");
    assert_eq!(client.ask_all(&format!("reserve-job {id}")), format!("RESERVED {id} 6\ntraced"));
    assert_eq!(client.ask(&format!("release {id} 0 0")), "RELEASED");
    client.ask_all(&format!("reserve-job {id}"));
    assert_eq!(client.ask(&format!("bury {id} 0")), "BURIED");
    assert_eq!(client.ask(&format!("kick-job {id}")), "KICKED");
    assert_eq!(client.ask(&format!("delete {id}")), "DELETED");
    block_on(handle.stop());

    let heard = heard.0.lock().unwrap();
    use JobChange::{Buried, Deleted, Kicked, Put, Released, Reserved};
    let changes: Vec<JobChange> = heard.iter().map(|event| event.what).collect();
    assert_eq!(changes, [Put, Reserved, Released, Reserved, Buried, Kicked, Deleted]);
    for event in &*heard {
        assert_eq!(event.job.0, id);
        assert_eq!(event.trace.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(event.namespace, Namespace(Some("shop".parse().unwrap())));
    }
}
