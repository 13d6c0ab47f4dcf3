//! Producers and workers, up to the cut.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};

use super::client::{Client, unexpected};
use super::ledger::Ledger;
use super::machine::Machine;

const PRODUCERS: u32 = 8;
const WORKERS: u32 = 3;

/// Has clients work for so long, then does `cut` below them, and returns when they have all noticed.
///
/// # Errors
/// When the cut fails, or a client was answered what no queue should say.
pub(super) fn during(
    machine: &Machine,
    ledger: &mut Ledger,
    pause: Duration,
    round: u32,
    cut: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let ledger = Mutex::new(ledger);
    let connect = |_| machine.connect().context("cannot connect");
    let producers = (0..PRODUCERS).map(connect).collect::<Result<Vec<Client>>>()?;
    let workers = (0..WORKERS).map(connect).collect::<Result<Vec<Client>>>()?;
    std::thread::scope(|scope| {
        let producers = (0..).zip(producers).map(|(n, client): (u32, _)| {
            let ledger = &ledger;
            scope.spawn(move || produce(client, &format!("{round}-{n}"), ledger))
        });
        let mut all: Vec<_> = producers.collect();
        all.extend(workers.into_iter().map(|client| {
            let ledger = &ledger;
            scope.spawn(move || work(client, ledger))
        }));
        std::thread::sleep(pause);
        let cut = cut();
        for client in all {
            let ended = client.join().map_err(|_| io::Error::other("a client panicked")).flatten();
            let Err(error) = ended else { continue };
            // All connections end with the cut, one way or the other.
            if error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::Other {
                return Err(error.into());
            }
        }
        cut
    })
}

type Shared<'a, 'b> = &'a Mutex<&'b mut Ledger>;

fn of<'a, 'b>(ledger: Shared<'a, 'b>) -> std::sync::MutexGuard<'a, &'b mut Ledger> {
    ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn produce(mut client: Client, name: &str, ledger: Shared<'_, '_>) -> io::Result<()> {
    for n in 0.. {
        let body = format!("{name}-{n}-{}", "x".repeat(n * 37 % 3_000)).into_bytes();
        let delay_s = if n % 8 == 7 { 3_600 } else { 0 };
        let id = client.put(delay_s, &body)?;
        of(ledger).put(id, body);
    }
    Ok(())
}

fn work(mut client: Client, ledger: Shared<'_, '_>) -> io::Result<()> {
    for n in 0.. {
        let Some((id, _)) = client.reserve()? else { continue };
        let (said, wanted) = match n % 4 {
            0 => (client.ask(&format!("release {id} 7 0"))?, "RELEASED"),
            1 => (client.ask(&format!("bury {id} 3"))?, "BURIED"),
            _ => {
                of(ledger).deletes(id);
                (client.ask(&format!("delete {id}"))?, "DELETED")
            }
        };
        if said != wanted {
            return Err(unexpected(&said));
        }
        if wanted == "DELETED" {
            of(ledger).deleted(id);
        }
    }
    Ok(())
}
