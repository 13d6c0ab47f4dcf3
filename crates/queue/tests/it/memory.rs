//! A queue whose jobs end with it, as beanstalkd's without `-b`: `stats` tells of no log, as client test suites expect.

use queue::config::{Config, TubeConfig};
use queue::durability::Durability;

use crate::rig::{Forebay, config};

#[test]
fn stats_tell_of_no_log() {
    let tube = TubeConfig { durability: Durability::Memory, ..TubeConfig::default() };
    let server = Forebay::start_with(Config { tube, ..config() });
    let mut client = server.connect();
    let index = |client: &mut crate::rig::Client, which: &str| client.stat("stats", &format!("binlog-{which}-index"));
    assert_eq!((index(&mut client, "oldest").as_str(), index(&mut client, "current").as_str()), ("0", "0"));
    let id = client.put("0 0 60", "x");
    assert_eq!(client.stat(&format!("stats-job {id}"), "file"), "0");
    let kept = Forebay::start();
    assert_ne!(index(&mut kept.connect(), "current"), "0");
}
