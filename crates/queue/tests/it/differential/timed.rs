//! Conversations in which time runs out: delays, leases, pauses, waits, DEADLINE_SOON.
//!
//! Everything is said within the first fifth of a second of a phase, and phases begin at such times that nothing falls due
//! while something is said, which is then the same on both sides. A conversation that was too slow for that says nothing
//! and is left out; one in which the answers differ is held again, since on a busy machine a timer may come late, and counts
//! when they differ each time.

use std::time::{Duration, Instant};

use stdx::rng::Rng;

use super::script::{Action, Script, Step};
use super::{CLIENTS, Pair};

/// Conversations at a time; each waits most of its time.
const AT_A_TIME: u64 = 16;
/// When phases begin. What is said in one falls due whole seconds later, so their fractions of a second are apart.
const PHASES_MS: [u64; 3] = [0, 1400, 2800];
/// How long one may take.
const PHASE_MS: u64 = 180;
/// What is said in one.
const STEPS: usize = 12;
/// Between two things that are said, so that what falls due because of them does not fall due at once.
const GAP: Duration = Duration::from_millis(4);
/// How often a conversation is held before a difference counts.
const TRIES: usize = 4;

#[test]
fn what_happens_by_itself_happens_alike() {
    let talks: Vec<_> = (0..AT_A_TIME).map(|seed| std::thread::spawn(move || repeat(seed))).collect();
    let ended: Vec<Option<bool>> = talks.into_iter().map(|talk| talk.join().unwrap()).collect();
    if ended.contains(&None) {
        return eprintln!("skipped: beanstalkd is not installed");
    }
    let compared = ended.iter().filter(|ended| **ended == Some(true)).count();
    eprintln!("{compared} of {AT_A_TIME} conversations were quick enough to be compared to their end");
}

/// Holds a conversation until it is the same on both sides; says whether it was quick enough to its end.
fn repeat(seed: u64) -> Option<bool> {
    let mut differences = Vec::new();
    for _ in 0..TRIES {
        let mut pair = Pair::start()?;
        match converse(seed, &mut pair) {
            Ok(quick) => return Some(quick),
            Err(difference) => differences.push(difference),
        }
    }
    panic!("seed {seed}, each time: {}", differences.join("\n"))
}

fn converse(seed: u64, pair: &mut Pair) -> Result<bool, String> {
    let mut script = Script::new(Rng::with_seed(seed), CLIENTS);
    let begun = Instant::now();
    for phase in PHASES_MS {
        let start = begun + Duration::from_millis(phase);
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        let mut steps: Vec<Step> = (0..STEPS).map(|_| step(&mut script)).collect();
        if phase == PHASES_MS[2]
            && let Some(who) = script.waiting
        {
            // Nobody waits longer than three seconds.
            steps.push(Step { who, action: Action::Hear });
        }
        for step in steps {
            let is_hearing = matches!(step.action, Action::Hear);
            if !is_hearing && start.elapsed() > Duration::from_millis(PHASE_MS) {
                return Ok(false);
            }
            std::thread::sleep(GAP);
            pair.take(&step)?;
        }
    }
    Ok(true)
}

fn step(script: &mut Script) -> Step {
    let (ttr, delay) = (script.rng.u64(1..4), script.rng.u64(..3));
    if script.waiting.is_none() && script.rng.u32(..8) == 0 {
        // One at a time: of several that wait theirs does not take the one that has waited longest.
        let who = script.rng.usize(..CLIENTS);
        script.waiting = Some(who);
        let seconds = script.rng.u32(..4);
        return Step { who, action: Action::Wait { bytes: format!("reserve-with-timeout {seconds}\r\n").into() } };
    }
    let who = script.anybody_free();
    Step { who, action: Action::Say { bytes: script.command(delay, ttr, "0"), lists: 0 } }
}
