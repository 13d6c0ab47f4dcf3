//! Any bytes to a queue: what comes back are whole answers in the protocol's words, and others are served on.
#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use queue::config::{Config, TubeConfig};
use queue::{Deps, Handle, NoSink, NoTokens};
use stdx::clock::SystemClock;
use testkit::{FakeDisk, answers};

struct Rig {
    addr: SocketAddr,
    _handle: Handle,
    _folder: tempfile::TempDir,
}

fuzz_target!(|bytes: &[u8]| {
    static RIG: OnceLock<Rig> = OnceLock::new();
    let rig = RIG.get_or_init(start);
    let heard = exchange(rig.addr, bytes);
    assert!(answers::count(&heard).is_ok(), "{:?}", String::from_utf8_lossy(&heard));
    assert_eq!(exchange(rig.addr, b"list-tube-used\r\n"), b"USING default\r\n");
});

fn exchange(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A client that quits is gone before all is sent.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    let mut heard = Vec::new();
    if let Err(error) = stream.read_to_end(&mut heard) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    heard
}

fn start() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let tube =
        TubeConfig { jobs_max: 100, attempts_max: 2, durability: "memory".parse().unwrap(), ..TubeConfig::default() };
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tube,
        jobs_max: 300,
        tubes_max: 50,
        keys_max: 20,
        disk_reserve_bytes: 0,
        ..Config::default()
    };
    let deps = Deps { clock: SystemClock::shared(), tokens: Arc::new(NoTokens), sink: Arc::new(NoSink), sockets: Default::default() };
    let handle = queue::start_on(FakeDisk::new(1), config, folder.path().join("queue"), deps).unwrap();
    Rig { addr: handle.bound()[0], _handle: handle, _folder: folder }
}
