//! Conversations as files: `>` is what a client says, `<` what it hears, a letter before it names the client (one is
//! opened at its first line), `*` stands for anything. Each runs against our server and, where it is installed, against
//! Debian's beanstalkd; `# forebay` in the first line marks those that only we can answer.

use std::collections::BTreeMap;

use crate::rig::{Beanstalkd, Client, Forebay, Server};

macro_rules! transcripts {
    ($($name:ident)*) => {
        mod forebay {
            $(#[test]
            fn $name() {
                let text = include_str!(concat!("../transcripts/", stringify!($name), ".txt"));
                super::run(text, &super::Server::Forebay(super::Forebay::start()));
            })*
        }
        mod beanstalkd {
            $(#[test]
            fn $name() {
                let text = include_str!(concat!("../transcripts/", stringify!($name), ".txt"));
                if text.starts_with("# forebay") {
                    return;
                }
                match super::Beanstalkd::start() {
                    Some(theirs) => super::run(text, &super::Server::Beanstalkd(theirs)),
                    None => eprintln!("skipped: beanstalkd is not installed"),
                }
            })*
        }
    };
}

transcripts! {
    bury_and_kick
    closing
    deadline_soon
    delay
    delete
    extensions
    malformed
    pause
    peek
    pick_order
    pipelining
    put_and_reserve
    quirks_of_1_13
    release
    rotation
    stats
    timeouts
    touch
    tubes
}

fn run(text: &str, server: &Server) {
    let mut clients: BTreeMap<char, Client> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, rest) = match line.chars().next() {
            Some(name) if name.is_ascii_lowercase() => (name, &line[1..]),
            _ => (' ', line),
        };
        let client = clients.entry(name).or_insert_with(|| server.connect());
        match rest.split_at_checked(1) {
            Some((">", said)) => client.say(&unescape(said.strip_prefix(' ').unwrap_or(said))),
            Some(("|", raw)) => client.send(unescape(raw.strip_prefix(' ').unwrap_or(raw)).as_bytes()),
            Some(("<", wanted)) => {
                let heard = unquoted(&client.hear());
                let wanted = wanted.strip_prefix(' ').unwrap_or(wanted);
                assert!(matches(&unquoted(wanted), &heard), "line {number}: expected {wanted:?}, heard {heard:?}");
            }
            Some(("/", "eof")) => client.finish_sending(),
            Some(("/", "close")) => {
                clients.remove(&name);
            }
            Some(("/", "closed")) => assert_eq!(client.hear_to_the_end(), b"", "line {number}"),
            _ => panic!("line {number} is no line of a transcript: {line}"),
        }
    }
}

/// 1.13 quotes some texts in YAML, 1.12 does not.
fn unquoted(line: &str) -> String {
    line.replace('"', "")
}

fn unescape(text: &str) -> String {
    let repeated = match (text.find("{x*"), text.find('}')) {
        (Some(start), Some(end)) => {
            let times: usize = text[start + 3..end].parse().unwrap();
            format!("{}{}{}", &text[..start], "x".repeat(times), &text[end + 1..])
        }
        _ => text.to_owned(),
    };
    repeated.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0")
}

/// Whether `heard` is `wanted`, in which every `*` stands for anything.
fn matches(wanted: &str, heard: &str) -> bool {
    match wanted.split_once('*') {
        None => wanted == heard,
        Some((head, tail)) => {
            let Some(rest) = heard.strip_prefix(head) else { return false };
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(tail, &rest[at..]))
        }
    }
}
