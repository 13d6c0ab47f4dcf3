//! What an init costs. Run with `--no-capture` to see the numbers.

use runtime::{Limits, Spec};

use crate::rig::{eventually, is_root, rig, start};

/// The kB behind a name in a file of `/proc`.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Resident, proportional and private kB of a process; the last two only where the kernel tells us.
fn memory(pid: u32) -> (u64, Option<u64>, Option<u64>) {
    let rollup = format!("/proc/{pid}/smaps_rollup");
    let own = |name| kilobytes(&rollup, name);
    let private = own("Private_Clean:").zip(own("Private_Dirty:")).map(|(clean, dirty)| clean + dirty);
    (kilobytes(&format!("/proc/{pid}/status"), "VmRSS:").unwrap(), own("Pss:"), private)
}

#[tokio::test]
async fn an_idle_init_takes_a_few_megabytes_and_a_full_one_its_bound_more() {
    let rig = rig();
    let flood = "until [ -e go ]; do sleep 0.01; done; yes 0123456789 | head -n 200000; touch through; sleep 1000";
    let spec = Spec { stdout_block_ms: 0, limits: Limits::default(), ..rig.spec(flood) };
    let mut running = start(spec).await;
    let pid = running.ticket().init_pid;
    let idle = memory(pid);
    std::fs::write(rig.path("go"), "").unwrap();
    eventually("the flood is through", || rig.path("through").exists()).await;
    let full = memory(pid);
    running.control().kill();
    running.until_exit().await;
    println!("kB (VmRSS, PSS, USS): idle {idle:?}, with 2.2 MB of output unacknowledged {full:?}");
    assert!(idle.0 < 8 << 10, "{idle:?}");
    assert!(full.0 < idle.0 + (3 << 10), "{full:?}");
    assert_eq!(idle.1.is_some(), is_root(), "init's memory is not for other processes of its user");
    running.finish().await;
}
