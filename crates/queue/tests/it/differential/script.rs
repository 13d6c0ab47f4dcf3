//! What is said in a random conversation: every command, with its arguments well and badly formed.

use std::fmt;

use stdx::rng::Rng;

/// One thing that a client does.
pub(super) struct Step {
    pub(super) who: usize,
    pub(super) action: Action,
}

pub(super) enum Action {
    /// Says this, of which `lists` commands are answered with a list, and hears all answers.
    Say { bytes: Vec<u8>, lists: usize },
    /// Says something that may take time, and hears the answers later.
    Wait { bytes: Vec<u8> },
    /// Hears what [`Action::Wait`] left.
    Hear,
    /// Closes, after these words if there are any, and comes back.
    Reopen { last_words: Vec<u8> },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, bytes) = match &self.action {
            Action::Say { bytes, .. } => ('>', &bytes[..]),
            Action::Wait { bytes } => ('?', &bytes[..]),
            Action::Hear => ('<', &b""[..]),
            Action::Reopen { last_words } => ('/', &last_words[..]),
        };
        let bytes = &bytes[..bytes.len().min(300)];
        write!(f, "{}{sign} {}", self.who, bytes.escape_ascii())
    }
}

/// Makes a conversation up.
pub(super) struct Script {
    pub(super) rng: Rng,
    clients: usize,
    puts: u64,
    steps: u64,
    /// Who waits and has not been heard.
    pub(super) waiting: Option<usize>,
}

/// Lines that are not quite commands, or more than one.
const ODD: [&str; 34] = [
    "",
    " ",
    "bogus",
    "PUT 0 0 1 0",
    "Stats",
    "statsfoo",
    "stats ",
    "stats-job",
    "stats-job ",
    "stats-tube -x",
    "peek",
    "peek-readyx",
    "peek-ready ",
    "reserve ",
    "reservex",
    "reserve-job x",
    "delete",
    "delete x",
    "delete 1x",
    "delete 1 ",
    "delete  1",
    "delete -1",
    "delete 99999999999999999999",
    "release 1",
    "release 1 2 3 4",
    "bury 1",
    "kick",
    "kick x",
    "kick -1",
    "kick 1x",
    "touch",
    "use",
    "use -a",
    "list-tubesx",
];

const MORE_ODD: [&str; 22] = [
    "list-tube-usedx",
    "list-tube",
    "watch",
    "watch ",
    "watch a b",
    "ignore",
    "ignore -",
    "pause-tube",
    "pause-tube a",
    "pause-tube nowhere 5",
    "pause-tube default x",
    "put",
    "put ",
    "put 1 2",
    "put a 0 1 0",
    "put 0 0 1 -1",
    "put 4294967296 0 1 0",
    "put 0 0 1 0 x",
    "put 0 0 1 4 ",
    "reserve-with-timeout",
    "reserve-with-timeout 0 x",
    "kick-job 0",
];

impl Script {
    pub(super) fn new(rng: Rng, clients: usize) -> Script {
        Script { rng, clients, puts: 0, steps: 0, waiting: None }
    }

    /// The next thing. Nobody waits for long: what could be waited for falls due in hours.
    pub(super) fn next_step(&mut self) -> Step {
        let who = self.rng.usize(..self.clients);
        let action = match self.rng.u32(..100) {
            0 | 1 => Action::Reopen { last_words: self.last_words() },
            2..=11 => Action::Say { bytes: self.odd(), lists: 0 },
            12..=14 => self.list(),
            _ => {
                let delay = self.delay();
                Action::Say { bytes: self.command(delay, 500, "0"), lists: 0 }
            }
        };
        Step { who, action }
    }

    /// Who may say something now.
    pub(super) fn anybody_free(&mut self) -> usize {
        let who = self.rng.usize(..self.clients);
        if self.waiting == Some(who) { (who + 1) % self.clients } else { who }
    }

    /// No two jobs fall due in the same second: their order would be that of nanoseconds there and of ids here.
    fn delay(&mut self) -> u64 {
        self.steps += 1;
        if self.rng.u32(..5) < 3 { 0 } else { 1000 + self.steps * 7919 % 5003 }
    }

    fn tube(&mut self) -> &'static str {
        ["default", "a", "b", "b2", "x-y+z/;.$_()"][self.rng.usize(..5)]
    }

    /// A well-formed command; `wait` is how long a reserve does.
    pub(super) fn command(&mut self, delay: u64, ttr: u64, wait: &str) -> Vec<u8> {
        let tube = self.tube();
        let id = self.rng.u64(1..=self.puts + 2);
        let pri = [0, 1, 1023, 1024, 5_000_000, u32::MAX][self.rng.usize(..6)];
        let line = match self.rng.u32(..34) {
            0..=7 => return self.put(pri, delay, ttr),
            8..=12 => format!("reserve-with-timeout {wait}"),
            13 | 14 => format!("reserve-job {id}"),
            15 | 16 => format!("delete {id}"),
            17 | 18 => format!("release {id} {pri} {delay}"),
            19 => format!("bury {id} {pri}"),
            20 => format!("kick {}", self.rng.u32(..4)),
            21 => format!("kick-job {id}"),
            22 => format!("touch {id}"),
            23 => format!("use {tube}"),
            24 => format!("watch {tube}"),
            25 => format!("ignore {tube}"),
            26 => ["peek-ready", "peek-delayed", "peek-buried"][self.rng.usize(..3)].into(),
            27 => format!("peek {id}"),
            28 => format!("stats-job {id}"),
            29 => format!("stats-tube {tube}"),
            30 => "list-tube-used".into(),
            // Only of a tube that is always there: theirs forgets the pause of one that goes.
            31 => format!("pause-tube default {}", if wait == "0" { 0 } else { self.rng.u32(..3) }),
            _ => "stats".into(),
        };
        let line = if self.rng.u32(..12) == 0 { spread(&line) } else { line };
        [line.as_bytes(), b"\r\n"].concat()
    }

    fn put(&mut self, pri: u32, delay: u64, ttr: u64) -> Vec<u8> {
        let body = "b".repeat(self.rng.usize(..20));
        let line = format!("put {pri} {delay} {ttr} {}", body.len());
        self.puts += 1;
        let line = if self.rng.u32(..10) == 0 { spread(&line) } else { line };
        match self.rng.u32(..20) {
            // The body is longer than was said: its rest is a command.
            0 => format!("{line}\r\n{body}!!\r\n").into_bytes(),
            // Far too big, and thrown away.
            1 => {
                self.puts -= 1;
                format!("put {pri} {delay} {ttr} 65536\r\n{}\r\n", "z".repeat(65_536)).into_bytes()
            }
            _ => format!("{line}\r\n{body}\r\n").into_bytes(),
        }
    }

    /// A list beside that of the sentinel.
    fn list(&mut self) -> Action {
        let line = ["list-tubes\r\n", "list-tubes-watched\r\n"][self.rng.usize(..2)];
        Action::Say { bytes: line.into(), lists: 1 }
    }

    fn odd(&mut self) -> Vec<u8> {
        let mut line = match self.rng.u32(..10) {
            0 => b"x".repeat(not_at_its_edge(self.rng.usize(220..230))),
            1 => [b"use ".to_vec(), b"n".repeat(self.rng.usize(195..205))].concat(),
            2 => b"stats-tube \0x".to_vec(),
            3 => b"y".repeat(not_at_its_edge(self.rng.usize(1000..2000))),
            4 => b"use a\nb".to_vec(),
            5 | 6 => MORE_ODD[self.rng.usize(..MORE_ODD.len())].into(),
            _ => ODD[self.rng.usize(..ODD.len())].into(),
        };
        line.extend_from_slice(b"\r\n");
        line
    }

    fn last_words(&mut self) -> Vec<u8> {
        ["", "quit\r\n", "quitter\r\n", "list-tube-used\r\nquit\r\nstats\r\n"][self.rng.usize(..4)].into()
    }
}

/// When the CR of a line's end is the last byte that fits its buffer, theirs throws the next line away too.
fn not_at_its_edge(len: usize) -> usize {
    if (len + 1).is_multiple_of(224) { len + 1 } else { len }
}

/// Several spaces where one would do: fine for numbers, and BAD_FORMAT for names.
fn spread(line: &str) -> String {
    line.replacen(' ', "  ", 2)
}
