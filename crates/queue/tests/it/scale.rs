//! Many tubes, many watchers: each job finds its worker, whatever else there is.

use crate::rig::{Client, Forebay};

#[test]
fn ten_thousand_tubes_with_a_thousand_watchers() {
    const TUBES: usize = 10_000;
    const WATCHERS: usize = 1_000;
    let server = Forebay::in_memory();
    let mut watchers: Vec<Client> = (0..WATCHERS)
        .map(|n| {
            let mut client = server.connect();
            let lines: String = (0..TUBES / WATCHERS).map(|m| format!("watch tube-{}\r\n", n + m * WATCHERS)).collect();
            client.send(format!("{lines}ignore default\r\nreserve\r\n").as_bytes());
            client
        })
        .collect();
    for client in &mut watchers {
        for count in 2..=TUBES / WATCHERS + 1 {
            assert_eq!(client.hear(), format!("WATCHING {count}"));
        }
        assert_eq!(client.hear(), format!("WATCHING {}", TUBES / WATCHERS));
    }
    let mut producer = server.connect();
    while producer.stat("stats", "current-waiting") != WATCHERS.to_string() {}
    assert_eq!(producer.stat("stats", "current-tubes"), (TUBES + 1).to_string());
    // Each watcher by another of its tubes.
    for n in 0..WATCHERS {
        let tube = format!("tube-{}", n + (n % (TUBES / WATCHERS)) * WATCHERS);
        producer.send(format!("use {tube}\r\nput 0 0 60 {}\r\n{tube}\r\n", tube.len()).as_bytes());
    }
    for (n, watcher) in watchers.iter_mut().enumerate() {
        let tube = format!("tube-{}", n + (n % (TUBES / WATCHERS)) * WATCHERS);
        assert_eq!(producer.hear(), format!("USING {tube}"));
        let id = producer.hear().strip_prefix("INSERTED ").unwrap().to_owned();
        assert_eq!(watcher.hear_all(), format!("RESERVED {id} {}\n{tube}", tube.len()));
        assert_eq!(watcher.ask(&format!("delete {id}")), "DELETED");
    }
    drop(watchers);
    producer.ask("use default");
    while producer.stat("stats", "current-tubes") != "1" {}
}

#[test]
fn a_client_that_makes_two_hundred_thousand_tubes_is_refused_and_the_others_are_served() {
    const TUBES: usize = 200_000;
    let server = Forebay::in_memory();
    let (mut client, mut other) = (server.connect(), server.connect());
    let (mut made, mut refused) = (0, 0);
    for from in (0..TUBES).step_by(1000) {
        let lines: String = (from..from + 1000).map(|n| format!("use t{n}\r\nput 0 0 60 1\r\nx\r\n")).collect();
        client.send(lines.as_bytes());
        for _ in 0..1000 {
            let using = client.hear();
            assert!(client.hear().starts_with("INSERTED "), "into the tube before when there is no new one");
            match using.as_str() {
                "OUT_OF_MEMORY" => refused += 1,
                _ => made += 1,
            }
        }
    }
    // The default tube is one of the 50,000 that may be.
    assert_eq!((made, refused), (49_999, TUBES - 49_999));
    assert_eq!(other.ask("use t7"), "USING t7");
    assert_eq!(other.ask_all("peek-ready"), "FOUND 8 1\nx");
}
