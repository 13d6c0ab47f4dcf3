//! Instances as `ps --json` lists them.

use serde_json::Value;

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) pid: i32,
    pub(crate) port: u16,
    pub(crate) release: u64,
    state: String,
    health: String,
}

impl Instance {
    pub(crate) fn is_ready(&self) -> bool {
        self.state == "running" && matches!(self.health.as_str(), "healthy" | "none")
    }

    /// `kill -9`, from outside.
    pub(crate) fn kill(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

/// Those of one process, sorted.
pub(super) fn read(rows: &[Value], process: &str) -> Vec<Instance> {
    let of_process = rows.iter().filter(|row| row["process"] == process);
    let mut found: Vec<Instance> = of_process.map(instance).collect();
    found.sort();
    found
}

fn instance(row: &Value) -> Instance {
    let text = |key: &str| row[key].as_str().unwrap_or_else(|| panic!("no {key} in {row}")).to_string();
    let number = |key: &str| row[key].as_u64().unwrap_or_else(|| panic!("no {key} in {row}"));
    Instance {
        name: text("instance"),
        pid: i32::try_from(number("pid")).unwrap(),
        port: u16::try_from(number("port")).unwrap(),
        release: number("release"),
        state: text("state"),
        health: text("health"),
    }
}
