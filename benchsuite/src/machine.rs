//! The machine that is measured on: its processors, a process's CPU time.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which part of the machine: what is measured, what measures, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first processor: the servers that are compared.
    Subject,
    /// The others: load and backends.
    Driver,
    /// All of it: servers that may use what there is, beside their load.
    Whole,
}

/// Moves the calling thread, and what it starts from now on, to one part of the machine. `false` on a machine with a
/// single processor, where nothing can be kept apart.
///
/// # Errors
/// What the system says.
pub fn move_to(part: Part) -> Result<bool> {
    let all = machine_cpus()?;
    let Some((first, rest)) = all.split_first() else { return Ok(false) };
    if rest.is_empty() {
        return Ok(false);
    }
    let mut wanted = CpuSet::new();
    match part {
        Part::Subject => wanted.set(*first),
        Part::Driver => rest.iter().for_each(|cpu| wanted.set(*cpu)),
        Part::Whole => all.iter().for_each(|cpu| wanted.set(*cpu)),
    }
    sched_setaffinity(None, &wanted).context("cannot choose a processor")?;
    Ok(true)
}

/// How many processors the whole has.
///
/// # Errors
/// What the system says.
pub fn processors() -> Result<usize> {
    machine_cpus().map(|cpus| cpus.len())
}

/// Moves the calling thread to the processors that it has not: an application that a pinned node started leaves it alone
/// there. Nothing happens where there are no others.
///
/// # Errors
/// What the system says.
pub fn move_away() -> Result<()> {
    let here = sched_getaffinity(None).context("cannot ask for the processors")?;
    let mut others = CpuSet::new();
    let online = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    for cpu in online.lines().filter_map(|line| line.strip_prefix("cpu")?.split(' ').next()?.parse().ok()) {
        if !here.is_set(cpu) {
            others.set(cpu);
        }
    }
    if others.count() > 0 {
        sched_setaffinity(None, &others).context("cannot choose a processor")?;
    }
    Ok(())
}

/// The processors that this process had when it was first asked.
fn machine_cpus() -> Result<Vec<usize>> {
    static FIRST: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    if let Some(cpus) = FIRST.get() {
        return Ok(cpus.clone());
    }
    let set = sched_getaffinity(None).context("cannot ask for the processors")?;
    let cpus = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    Ok(FIRST.get_or_init(|| cpus).clone())
}

/// User and system time of a process and all its threads so far: fields 14 and 15 of `/proc/PID/stat`, in ticks of
/// which Linux counts 100 a second on every machine (proc(5)).
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    parse_cpu_time(&stat).with_context(|| format!("/proc/{pid}/stat is not as expected"))
}

/// The same of a process and its children that run.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time_with_children(pid: u32) -> Result<Duration> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    // One that has ended meanwhile took what it took: it is not known any more.
    Ok(cpu_time(pid)? + children.filter_map(|child| cpu_time(child).ok()).sum::<Duration>())
}

/// The same of each of its threads, with the thread's name (`/proc/PID/task/TID/stat`).
///
/// # Errors
/// When there is no such process. A thread that ends meanwhile is left out.
pub fn cpu_time_of_threads(pid: u32) -> Result<Vec<(String, Duration)>> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("no process {pid}"))?;
    let stats = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    Ok(stats.filter_map(|stat| Some((name_of(&stat)?.to_string(), parse_cpu_time(&stat)?))).collect())
}

fn name_of(stat: &str) -> Option<&str> {
    stat.get(stat.find('(')? + 1..stat.rfind(')')?)
}

fn parse_cpu_time(stat: &str) -> Option<Duration> {
    const MS_PER_TICK: u64 = 10;
    // The name in brackets may hold anything, also blanks and brackets.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * MS_PER_TICK))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn cpu_time_is_user_and_system_time() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 99 0 0 0 123 77 5 6 20 0 1 0 100 200 300";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(name_of(stat), Some("a ) b"));
        assert_eq!(parse_cpu_time("42 (a) S 1"), None);
    }

    #[test]
    fn a_process_that_works_takes_time() {
        let before = cpu_time(std::process::id()).unwrap();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        assert!(cpu_time(std::process::id()).unwrap() >= before);
        assert!(!cpu_time_of_threads(std::process::id()).unwrap().is_empty());
    }
}
