//! `kill -9` of a queue under load: what was acknowledged is there again, what was deleted is not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::rig::Home;
use crate::rig::queue::{QueueAlone, Talk};

/// What the clients know. Of a command whose answer they did not get they know nothing.
#[derive(Default)]
struct Known {
    /// Jobs whose put was acknowledged, with their bodies.
    put: BTreeMap<u64, String>,
    /// Jobs whose delete was acknowledged, or was sent and not answered.
    deleted: BTreeSet<u64>,
    perhaps_deleted: BTreeSet<u64>,
}

type Shared = Arc<Mutex<Known>>;

fn produce(addr: SocketAddr, name: String, known: &Shared) -> io::Result<()> {
    let mut client = Talk::with(addr)?;
    for n in 0.. {
        let body = format!("{name}-{n}-{}", "x".repeat(n % 700));
        let id = client.put(&body)?.unwrap();
        assert_eq!(known.lock().unwrap().put.insert(id, body), None, "an id was given twice: {id}");
    }
    Ok(())
}

fn work(addr: SocketAddr, known: &Shared) -> io::Result<()> {
    let mut client = Talk::with(addr)?;
    for n in 0.. {
        let Some((id, _)) = client.reserve()? else { continue };
        assert!(!known.lock().unwrap().deleted.contains(&id), "a deleted job was handed out: {id}");
        match n % 4 {
            0 => assert_eq!(client.ask(&format!("release {id} 7 0"))?, "RELEASED"),
            1 => assert_eq!(client.ask(&format!("bury {id} 3"))?, "BURIED"),
            _ => {
                known.lock().unwrap().perhaps_deleted.insert(id);
                assert_eq!(client.ask(&format!("delete {id}"))?, "DELETED");
                known.lock().unwrap().deleted.insert(id);
            }
        }
    }
    Ok(())
}

#[test]
fn every_acknowledged_job_is_there_after_a_kill_and_no_deleted_one_returns() {
    let home = Home::new();
    let data = home.path("queue-alone");
    let known = Shared::default();
    for round in 0..4 {
        let queue = QueueAlone::serve(&home, &data);
        let addr = queue.addr;
        let clients: Vec<JoinHandle<io::Result<()>>> = (0..8)
            .map(|n| {
                let known = Arc::clone(&known);
                thread::spawn(move || match n {
                    0..5 => produce(addr, format!("{round}-{n}"), &known),
                    _ => work(addr, &known),
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(700));
        queue.kill();
        for client in clients {
            client.join().unwrap().expect_err("its server was killed");
        }
    }

    let queue = QueueAlone::serve(&home, &data);
    let mut client = queue.connect();
    client.ask("kick 1000000").unwrap();
    let known = known.lock().unwrap();
    assert!(known.put.len() > 100 && known.deleted.len() > 20, "there was load");
    let mut found = BTreeSet::new();
    while let Some((id, body)) = client.reserve().unwrap() {
        assert!(found.insert(id), "{id} is there twice");
        assert!(!known.deleted.contains(&id), "{id} was deleted");
        // A put whose answer was on its way is there without having been acknowledged.
        assert_eq!(known.put.get(&id).unwrap_or(&body), &body);
        assert_eq!(client.ask(&format!("delete {id}")).unwrap(), "DELETED");
    }
    let lost: Vec<_> =
        known.put.keys().filter(|id| !found.contains(id) && !known.perhaps_deleted.contains(id)).collect();
    assert_eq!(lost, [&0u64; 0], "of {} acknowledged jobs", known.put.len());
}
