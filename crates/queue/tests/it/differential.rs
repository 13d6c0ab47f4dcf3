//! Random conversations with our server and Debian's beanstalkd: the same answers, byte for byte.
//!
//! What is left out of the comparison has a name: [`answers::Exception`]. More scripts with `FOREBAY_SCRIPTS`, one of them
//! with `FOREBAY_SCRIPT_SEED`.

mod answers;
mod script;
mod timed;

use stdx::rng::Rng;

use self::answers::comparable;
use self::script::{Action, Script, Step};
use crate::rig::{Beanstalkd, Client, Forebay};

/// Conversations per shard and run.
const SCRIPTS: u64 = 500;
/// What is said in one of them.
const STEPS: usize = 100;
/// Connections of one of them.
const CLIENTS: usize = 3;

macro_rules! shards {
    ($($name:ident = $shard:literal)*) => {
        $(#[test]
        fn $name() {
            super::differential::shard($shard);
        })*
    };
}

shards! {
    random_scripts_get_the_same_answers_1 = 0
    random_scripts_get_the_same_answers_2 = 1
    random_scripts_get_the_same_answers_3 = 2
    random_scripts_get_the_same_answers_4 = 3
}

fn shard(shard: u64) {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let one = number("FOREBAY_SCRIPT_SEED");
    let scripts = number("FOREBAY_SCRIPTS").unwrap_or(SCRIPTS);
    for seed in one.map_or(shard * scripts..(shard + 1) * scripts, |seed| seed..seed + 1) {
        let Some(mut pair) = Pair::start() else { return eprintln!("skipped: beanstalkd is not installed") };
        let mut script = Script::new(Rng::with_seed(seed), CLIENTS);
        for _ in 0..STEPS {
            if let Err(difference) = pair.take(&script.next_step()) {
                panic!("seed {seed}: {difference}");
            }
        }
    }
}

/// Both servers, and the same clients of each.
struct Pair {
    ours: Side<Forebay>,
    theirs: Side<Beanstalkd>,
    said: Vec<String>,
}

struct Side<S> {
    server: S,
    clients: Vec<Client>,
}

trait Connect {
    fn connect(&self) -> Client;
}

impl Connect for Forebay {
    fn connect(&self) -> Client {
        Forebay::connect(self)
    }
}

impl Connect for Beanstalkd {
    fn connect(&self) -> Client {
        Beanstalkd::connect(self)
    }
}

/// Ends what a step says: its answer is told from all others by coming last.
const SENTINEL: &str = "list-tubes-watched";

impl<S: Connect> Side<S> {
    fn new(server: S) -> Side<S> {
        let mut side = Side { clients: Vec::new(), server };
        for who in 0..CLIENTS {
            side.clients.push(side.server.connect());
            // The server has seen the connection before anything counts.
            side.hear(who, 0);
        }
        side
    }

    fn say(&mut self, who: usize, bytes: &[u8]) {
        self.clients[who].send(&[bytes, SENTINEL.as_bytes(), b"\r\n"].concat());
    }

    /// All answers up to that of the sentinel; `own` of the step's commands are answered like it.
    fn hear(&mut self, who: usize, own: usize) -> Vec<String> {
        if own == 0 && self.clients[who].is_fresh() {
            self.say(who, b"");
        }
        let mut heard = Vec::new();
        let mut lists = 0;
        while lists <= own {
            let answer = self.clients[who].hear_all();
            assert!(!answer.is_empty(), "the connection ended after {heard:?}");
            lists += usize::from(answer.starts_with("OK ") && answer.contains("\n---\n- "));
            heard.push(answer);
        }
        heard
    }

    /// The connection ends, and the server has seen it: it closes its own end when it has given back what the client held.
    /// Closing ours would tell it later where another thread starts a process meanwhile, which has our sockets until it runs
    /// its program.
    fn reopen(&mut self, who: usize, bytes: &[u8]) -> Vec<u8> {
        self.clients[who].send(bytes);
        self.clients[who].finish_sending();
        let rest = self.clients[who].hear_to_the_end();
        self.clients[who] = self.server.connect();
        self.hear(who, 0);
        rest
    }
}

impl Pair {
    fn start() -> Option<Pair> {
        let theirs = Side::new(Beanstalkd::start()?);
        Some(Pair { ours: Side::new(Forebay::in_memory()), theirs, said: Vec::new() })
    }

    /// Does the same on both sides; the error is how their answers differ.
    fn take(&mut self, step: &Step) -> Result<(), String> {
        self.said.push(step.to_string());
        match &step.action {
            Action::Say { bytes, lists } => {
                self.ours.say(step.who, bytes);
                let ours = self.ours.hear(step.who, *lists);
                self.theirs.say(step.who, bytes);
                let theirs = self.theirs.hear(step.who, *lists);
                return self.compare(&ours, &theirs);
            }
            Action::Wait { bytes } => {
                self.ours.say(step.who, bytes);
                self.theirs.say(step.who, bytes);
            }
            Action::Hear => {
                let ours = self.ours.hear(step.who, 0);
                let theirs = self.theirs.hear(step.who, 0);
                return self.compare(&ours, &theirs);
            }
            Action::Reopen { last_words } => {
                let ours = self.ours.reopen(step.who, last_words);
                let theirs = self.theirs.reopen(step.who, last_words);
                let text = |bytes: Vec<u8>| vec![String::from_utf8_lossy(&bytes).into_owned()];
                return self.compare(&text(ours), &text(theirs));
            }
        }
        Ok(())
    }

    fn compare(&self, ours: &[String], theirs: &[String]) -> Result<(), String> {
        let (ours, theirs) = (comparable(ours), comparable(theirs));
        if ours == theirs {
            return Ok(());
        }
        Err(format!("after\n{}\nours:   {ours:?}\ntheirs: {theirs:?}", self.said.join("\n")))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what was said:\n{}", self.said.join("\n"));
        }
    }
}
