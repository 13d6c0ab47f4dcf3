//! What a Rust program does with beanstalkc, unchanged, against the queue at HOST PORT.

use std::collections::HashMap;
use std::time::Duration;

use beanstalkc::Beanstalkc;

const SOON: Duration = Duration::from_secs(5);
const NOW: Duration = Duration::from_secs(0);

fn connect() -> Beanstalkc {
    let args: Vec<String> = std::env::args().collect();
    Beanstalkc::new().host(&args[1]).port(args[2].parse().unwrap()).connect().expect("it serves")
}

fn jobs_go_through_their_states() {
    let mut client = connect();
    assert_eq!(client.use_tube("rust").unwrap(), "rust");
    assert_eq!(client.watch("rust").unwrap(), 2);
    assert_eq!(client.ignore("default").unwrap(), 1);
    let later = client.put(b"later", 10, NOW, Duration::from_secs(30)).unwrap();
    let first = client.put(b"first\r\nof two", 1, NOW, Duration::from_secs(30)).unwrap();
    let mut job = client.reserve().unwrap();
    assert_eq!((job.id(), job.body()), (first, &b"first\r\nof two"[..]));
    job.touch().unwrap();
    job.release(20, NOW).unwrap();
    let mut job = client.reserve_with_timeout(SOON).unwrap();
    assert_eq!(job.id(), later, "the released one has become less urgent");
    job.bury(4).unwrap();
    assert_eq!(client.peek_buried().unwrap().id(), later);
    assert_eq!(client.kick(10).unwrap(), 1);
    for id in [later, first] {
        let mut job = client.reserve_with_timeout(SOON).unwrap();
        assert_eq!(job.id(), id);
        job.delete().unwrap();
    }
    assert!(client.peek(later).is_err());
    assert!(client.reserve_with_timeout(NOW).is_err());
}

fn delays_and_kicks() {
    let mut client = connect();
    client.use_tube("rust-delayed").unwrap();
    client.watch("rust-delayed").unwrap();
    let id = client.put(b"d", 0, Duration::from_secs(3600), Duration::from_secs(1)).unwrap();
    assert_eq!(client.peek_delayed().unwrap().id(), id);
    client.kick_job(id).unwrap();
    assert_eq!(client.peek_ready().unwrap().id(), id);
    client.reserve_with_timeout(SOON).unwrap().delete().unwrap();
}

fn statistics_are_yaml() {
    let mut client = connect();
    client.use_tube("rust-stats").unwrap();
    let id = client.put_default(&[b'x'; 1000]).unwrap();
    let job: HashMap<String, String> = client.stats_job(id).unwrap();
    assert_eq!((job["tube"].as_str(), job["state"].as_str()), ("rust-stats", "ready"));
    let tube = client.stats_tube("rust-stats").unwrap();
    assert_eq!(tube["current-jobs-ready"], "1");
    assert!(client.stats().unwrap()["version"].contains("forebay"));
    assert!(client.tubes().unwrap().contains(&"rust-stats".to_string()));
    client.pause_tube("rust-stats", Duration::from_secs(3600)).unwrap();
    client.watch("rust-stats").unwrap();
    assert!(client.reserve_with_timeout(NOW).is_err(), "paused");
    client.delete(id).unwrap();
}

fn jobs_are_shared_by_workers() {
    let work = || {
        let mut client = connect();
        client.watch("rust-shared").unwrap();
        let mut done = Vec::new();
        while let Ok(mut job) = client.reserve_with_timeout(Duration::from_secs(2)) {
            done.push(String::from_utf8(job.body().to_vec()).unwrap().parse::<u32>().unwrap());
            job.delete().unwrap();
        }
        done
    };
    let workers: Vec<_> = (0..3).map(|_| std::thread::spawn(work)).collect();
    let mut producer = connect();
    producer.use_tube("rust-shared").unwrap();
    for n in 0..100u32 {
        producer.put_default(n.to_string().as_bytes()).unwrap();
    }
    let mut done: Vec<u32> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    done.sort_unstable();
    assert_eq!(done, (0..100).collect::<Vec<_>>());
}

fn main() {
    for (name, scenario) in [
        ("jobs_go_through_their_states", jobs_go_through_their_states as fn()),
        ("delays_and_kicks", delays_and_kicks),
        ("statistics_are_yaml", statistics_are_yaml),
        ("jobs_are_shared_by_workers", jobs_are_shared_by_workers),
    ] {
        scenario();
        println!("ok {name}");
    }
}
