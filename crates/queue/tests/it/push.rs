//! Tubes delivered as HTTP: the target's answers decide.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use queue::config::TubeConfig;
use queue::push::PushSpec;
use queue::{Namespace, Work};

use crate::rig::{Forebay, Http, PATIENCE, config};

/// A post as the target got it.
#[derive(Debug)]
struct Post {
    fields: BTreeMap<String, String>,
    body: String,
    at: Instant,
}

/// A target that answers as it is told, one answer after the other and the last one for ever; `""` hangs up.
struct Target {
    addr: SocketAddr,
    posts: Receiver<Post>,
}

impl Target {
    fn start(answers: &[&str]) -> Target {
        Target::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), answers)
    }

    fn start_on(listener: TcpListener, answers: &[&str]) -> Target {
        let addr = listener.local_addr().unwrap();
        let (to, posts) = sync_channel(1_000);
        let mut answers: Vec<String> = answers.iter().rev().map(ToString::to_string).collect();
        let next = move || if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
        let next: Arc<Mutex<dyn FnMut() -> Option<String> + Send>> = Arc::new(Mutex::new(next));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (to, next) = (to.clone(), Arc::clone(&next));
                std::thread::spawn(move || serve(stream, &to, &next));
            }
        });
        Target { addr, posts }
    }

    fn spec(&self) -> PushSpec {
        PushSpec { url: format!("http://{}/work?x=1", self.addr), host: None, concurrency_max: 4, timeout_ms: 20_000 }
    }

    fn next(&self) -> Post {
        self.posts.recv_timeout(PATIENCE).unwrap()
    }
}

fn serve(stream: TcpStream, to: &SyncSender<Post>, next: &Mutex<dyn FnMut() -> Option<String> + Send>) {
    let mut input = BufReader::new(stream);
    loop {
        let mut fields = BTreeMap::new();
        loop {
            let mut line = String::new();
            if input.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) => drop(fields.insert(name.to_lowercase(), value.to_owned())),
                None if line.trim_end().is_empty() => break,
                None => drop(fields.insert("".into(), line.trim_end().to_owned())),
            }
        }
        let mut body = vec![0; fields["content-length"].parse().unwrap()];
        input.read_exact(&mut body).unwrap();
        let told = to.send(Post { fields, body: String::from_utf8(body).unwrap(), at: Instant::now() });
        let answer = (next.lock().unwrap())().unwrap_or_default();
        if told.is_err() || answer.is_empty() {
            return;
        }
        let (status, more) = answer.split_once(' ').unwrap_or((&answer, ""));
        let more = if more.is_empty() { String::new() } else { format!("{more}\r\n") };
        if write!(input.get_mut(), "HTTP/1.1 {status} X\r\n{more}Content-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn employ(ours: &Forebay, tube: &str, spec: PushSpec) {
    ours.handle.employ(Namespace::SHARED, Work { pushes: BTreeMap::from([(tube.into(), spec)]), ..Work::default() });
}

fn start_with(tube: TubeConfig) -> (Forebay, Http) {
    let ours = Forebay::start_with(queue::config::Config { tube, ..config() });
    let http = Http::admin(&ours.handle);
    (ours, http)
}

/// Waits until nobody has a job of the tube to do.
fn emptied(http: &Http, tube: &str) {
    let begun = Instant::now();
    let row = || http.get(&format!("/v1/queue/tubes/{tube}"));
    while row().status == 200 && (row().json()["ready"] != 0 || row().json()["reserved"] != 0) {
        assert!(begun.elapsed() < PATIENCE, "jobs are left");
    }
}

#[test]
fn a_job_is_posted_with_its_trace_and_done_when_it_is_answered_so() {
    let (ours, http) = start_with(TubeConfig::default());
    let target = Target::start(&["204"]);
    employ(&ours, "mail", target.spec());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    http.send("POST", "/v1/queue/tubes/mail/jobs", &format!("traceparent: {trace}\r\n"), b"hello").is(201);
    let post = target.next();
    assert_eq!((post.fields[""].as_str(), post.body.as_str()), ("POST /work?x=1 HTTP/1.1", "hello"));
    let field = |name: &str| post.fields.get(name).map(String::as_str);
    assert_eq!(
        (field("forebay-job"), field("forebay-attempt"), field("forebay-tube")),
        (Some("1"), Some("1"), Some("mail"))
    );
    assert_eq!((field("traceparent"), field("host")), (Some(trace), Some(target.addr.to_string().as_str())));
    emptied(&http, "mail");
    let mut batch: Vec<String> = (0..50).map(|n| format!("{{\"body\": \"{n}\"}}")).collect();
    http.post("/v1/queue/tubes/mail/batch", &format!("{{\"jobs\": [{}]}}", batch.join(","))).is(201);
    let mut bodies: Vec<String> = (0..50).map(|_| format!("{{\"body\": \"{}\"}}", target.next().body)).collect();
    batch.sort();
    bodies.sort();
    assert_eq!(batch, bodies, "each once");
    emptied(&http, "mail");
    http.put("mail", "one more so that there is a tube to look at");
    target.next();
}

#[test]
fn a_failed_job_is_tried_again_as_the_tube_s_policy_says() {
    let (ours, http) = start_with(TubeConfig { attempts_max: 3, ..TubeConfig::default() });
    let target = Target::start(&["500", "404", "", "204"]);
    employ(&ours, "mail", target.spec());
    let id = http.put("mail", "poison");
    let attempts: Vec<String> = (0..3).map(|_| target.next().fields["forebay-attempt"].clone()).collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    let begun = Instant::now();
    while http.get(&format!("/v1/queue/jobs/{id}")).json()["state"] != "buried" {
        assert!(begun.elapsed() < PATIENCE);
    }
    http.put("mail", "good");
    assert_eq!(target.next().body, "good", "the tube goes on");
    emptied(&http, "mail");
}

#[test]
fn a_target_that_has_too_much_is_left_alone_for_as_long_as_it_says() {
    let (ours, http) = start_with(TubeConfig::default());
    let target = Target::start(&["429 Retry-After: 2", "204"]);
    employ(&ours, "mail", PushSpec { concurrency_max: 1, ..target.spec() });
    http.put("mail", "a");
    let first = target.next();
    let again = target.next();
    assert_eq!(again.body, "a");
    assert!(again.at - first.at >= Duration::from_millis(1_900), "after {:?}", again.at - first.at);
    emptied(&http, "mail");
}

#[test]
fn a_target_that_is_not_there_costs_no_attempts() {
    let (ours, http) = start_with(TubeConfig { attempts_max: 5, ..TubeConfig::default() });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let spec = PushSpec { url: format!("http://{addr}/"), host: None, concurrency_max: 4, timeout_ms: 1_000 };
    employ(&ours, "mail", spec);
    let id = http.put("mail", "a");
    let begun = Instant::now();
    let row = || http.get("/v1/queue/tubes/mail").json()["push"].clone();
    while row()["unreached"].as_u64().is_none_or(|times| times == 0) {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert!(row()["state"].as_str().unwrap().starts_with("unreachable"), "{}", row());
    // Knocking takes no job: by now it would have been reserved four times.
    let reserves = || http.get(&format!("/v1/queue/jobs/{id}")).json()["reserves"].as_u64().unwrap();
    while row()["unreached"].as_u64() == Some(1) && begun.elapsed() < Duration::from_secs(2) {}
    assert!(reserves() <= 2, "the one that was being waited for meanwhile may have got it, too");
    let target = Target::start_on(TcpListener::bind(addr).unwrap(), &["204"]);
    assert_eq!(target.next().body, "a");
    emptied(&http, "mail");
}

#[test]
fn a_slow_answer_keeps_its_job_and_a_push_that_ends_finishes_what_it_began() {
    let (ours, http) = start_with(TubeConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let spec = PushSpec { url: format!("http://{addr}/"), host: None, concurrency_max: 1, timeout_ms: 30_000 };
    employ(&ours, "mail", spec);
    http.post("/v1/queue/tubes/mail/jobs?ttr_s=1", "slow").is(201);
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = [0; 64];
    assert!(stream.read(&mut head).unwrap() > 0);
    std::thread::sleep(Duration::from_millis(2_500));
    let row = http.get("/v1/queue/jobs/1").json();
    assert_eq!((row["state"].as_str(), row["timeouts"].as_u64()), (Some("reserved"), Some(0)), "it is renewed");
    ours.handle.employ(Namespace::SHARED, Work::default());
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    emptied(&http, "mail");
    http.put("mail", "nobody fetches this");
    assert_eq!(http.get("/v1/queue/tubes/mail").json().get("push"), None);
}

#[test]
fn after_a_restart_jobs_under_way_are_delivered_again() {
    let (ours, http) = start_with(TubeConfig::default());
    let target = Target::start(&["", "204"]);
    http.put("mail", "a");
    let job = &http.reserve("mail", 0, 1)[0];
    assert_eq!(job["body"], "a");
    let ours = ours.restart();
    employ(&ours, "mail", target.spec());
    assert_eq!(target.next().fields["forebay-attempt"], "2");
    assert_eq!(target.next().fields["forebay-attempt"], "3", "hanging up is a failure");
    emptied(&Http::admin(&ours.handle), "mail");
}
