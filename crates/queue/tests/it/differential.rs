//! Random conversations with our server and Debian's beanstalkd: the same answers, byte for byte.

use stdx::rng::Rng;

use crate::rig::{Beanstalkd, Client, Forebay};

/// Conversations per run; more with `FOREBAY_SCRIPTS`.
const SCRIPTS: u64 = 60;

#[test]
fn random_scripts_get_the_same_answers() {
    let scripts = std::env::var("FOREBAY_SCRIPTS").ok().and_then(|n| n.parse().ok()).unwrap_or(SCRIPTS);
    for seed in 0..scripts {
        let Some(reference) = Beanstalkd::start() else {
            return eprintln!("skipped: beanstalkd is not installed");
        };
        let server = Forebay::start();
        let mut ours: Vec<Client> = (0..3).map(|_| server.connect()).collect();
        let mut theirs: Vec<Client> = (0..3).map(|_| reference.connect()).collect();
        converse(seed, &mut ours, &mut theirs);
    }
}

fn converse(seed: u64, ours: &mut [Client], theirs: &mut [Client]) {
    let mut rng = Rng::with_seed(seed);
    let mut said = Vec::new();
    // The servers have seen all connections before the first of them counts.
    for client in ours.iter_mut().chain(theirs.iter_mut()) {
        assert_eq!(client.ask("list-tube-used"), "USING default");
    }
    let mut puts = 0;
    for _ in 0..120 {
        let who = rng.usize(..ours.len());
        let line = command(&mut rng, said.len(), &mut puts);
        said.push(format!("{who}> {}", line.replace("\r\n", "\\r\\n")));
        let answer = comparable(&ours[who].ask_all(&line));
        let wanted = comparable(&theirs[who].ask_all(&line));
        assert_eq!(answer, wanted, "seed {seed}, after\n{}", said.join("\n"));
    }
}

fn command(rng: &mut Rng, said: usize, puts: &mut u64) -> String {
    let tube = ["default", "a", "b"][rng.usize(..3)];
    let id = rng.u64(1..=*puts + 2);
    let pri = [0, 1, 1023, 1024, 5_000_000][rng.usize(..5)];
    // No two jobs fall due in the same second: their order would be that of nanoseconds there and of ids here.
    let delay = if rng.u32(..5) < 3 { 0 } else { 1000 + said * 7919 % 5003 };
    match rng.u32(..26) {
        0..=6 => {
            *puts += 1;
            let body = "b".repeat(rng.usize(..20));
            format!("put {pri} {delay} 500 {}\r\n{body}", body.len())
        }
        7..=10 => "reserve-with-timeout 0".into(),
        11 => format!("reserve-job {id}"),
        12 | 13 => format!("delete {id}"),
        14 | 15 => format!("release {id} {pri} {delay}"),
        16 => format!("bury {id} {pri}"),
        17 => format!("kick {}", rng.u32(..4)),
        18 => format!("kick-job {id}"),
        19 => format!("touch {id}"),
        20 => format!("use {tube}"),
        21 => format!("watch {tube}"),
        22 => format!("ignore {tube}"),
        23 => ["peek-ready", "peek-delayed", "peek-buried", "list-tube-used", "stats"][rng.usize(..5)].into(),
        24 => [format!("stats-job {id}"), format!("stats-tube {tube}"), format!("peek {id}")][rng.usize(..3)].clone(),
        _ => ["bogus", "delete x", "stats ", "release 1", "pause-tube nowhere 5", "put 1 2", "use -"][rng.usize(..7)]
            .into(),
    }
}

/// Without what depends on the time, the process or the version.
fn comparable(answer: &str) -> String {
    const OWN: [&str; 20] = [
        "OK ",
        "age:",
        "time-left:",
        "file:",
        "pause-time-left:",
        "pid:",
        "version:",
        "rusage-utime:",
        "rusage-stime:",
        "uptime:",
        "binlog-oldest-index:",
        "binlog-current-index:",
        "binlog-records-migrated:",
        "binlog-records-written:",
        "binlog-max-size:",
        "id: ",
        "hostname:",
        "os:",
        "platform:",
        "total-connections:",
    ];
    let lines = answer.lines().filter(|line| !OWN.iter().any(|own| line.starts_with(own)));
    lines.collect::<Vec<_>>().join("\n").replace('"', "")
}
