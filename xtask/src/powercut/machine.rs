//! A virtual machine, its disk, and its end.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::client::Client;
use super::guest::{Fault, GUEST_PORT, Guest, output};

/// An emulated machine on a busy one takes its time.
const START_MAX: Duration = Duration::from_secs(240);
/// How long a machine that is starting has for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// The disk that outlives its machines.
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// An empty file system of 1 GiB in a folder of its own.
    pub(super) fn create(folder: &Path) -> Result<Disk> {
        if folder.is_dir() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let disk = Disk { folder: folder.into() };
        File::create(disk.image())?.set_len(1 << 30)?;
        output(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// What is written since the power is on. A piece of 4 KiB that is written for the first time is found in it only by a
    /// table that QEMU holds in memory until the guest flushes.
    fn overlay(&self) -> PathBuf {
        self.folder.join("since-power-on")
    }

    fn power_on(&self) -> Result<()> {
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", "-F", "raw", "-b"]);
        output(create.arg(self.image()).arg(self.overlay()))?;
        Ok(())
    }

    /// What reached the disk is the disk now.
    fn power_is_off(&self) -> Result<()> {
        output(Command::new("qemu-img").args(["commit", "-q"]).arg(self.overlay()))?;
        Ok(fs::remove_file(self.overlay())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} was not removed: {error}", self.folder.display());
        }
    }
}

/// A machine that runs. Its power is cut when it is dropped, at the latest.
pub(super) struct Machine {
    process: Mutex<Child>,
    addr: SocketAddr,
    console: PathBuf,
}

impl Machine {
    /// Starts it, and waits until its queue answers.
    ///
    /// # Errors
    /// When it does not within some minutes, with the end of what its console says.
    pub(super) fn start(guest: &Guest, disk: &Disk, fault: Fault) -> Result<Machine> {
        disk.power_on()?;
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let console = disk.folder.join("console");
        let mut qemu = Command::new("qemu-system-x86_64");
        // Emulated: what KVM does within a virtual machine differs too much from one to the next.
        qemu.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-m", "512", "-nographic", "-no-reboot"]);
        qemu.arg("-kernel").arg(&guest.kernel).arg("-initrd").arg(&guest.initrd);
        qemu.args(["-append", &format!("console=ttyS0 quiet panic=-1 {}", fault.word())]);
        // All tables of 1 GiB in pieces of 4 KiB fit into the cache: none is written because of another.
        qemu.arg("-drive").arg(format!(
            "file={},if=virtio,format=qcow2,cache=writeback,l2-cache-size=4M,refcount-cache-size=1M",
            disk.overlay().display()
        ));
        // Nothing leaves this machine: the guest's network ends in QEMU, but for one port of loopback.
        let forward = format!("hostfwd=tcp:127.0.0.1:{}-10.0.2.15:{GUEST_PORT}", addr.port());
        qemu.args(["-netdev", &format!("user,id=net,restrict=on,{forward}")]);
        qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        qemu.stdin(Stdio::null()).stdout(File::create(&console)?).stderr(File::options().append(true).open(&console)?);
        let process = Mutex::new(qemu.spawn().context("cannot start QEMU")?);
        let machine = Machine { process, addr, console };
        machine.wait()?;
        Ok(machine)
    }

    fn wait(&self) -> Result<()> {
        let end = Instant::now() + START_MAX;
        while Instant::now() < end {
            if let Some(status) = self.child().try_wait()? {
                bail!("QEMU ended with {status}: {}", self.last_words());
            }
            // QEMU takes connections before the guest does, and ends them when that does not.
            let answer = Client::connect(self.addr).and_then(|mut client| {
                client.set_patience(ANSWER_MAX)?;
                client.ask("list-tube-used")
            });
            if answer.is_ok_and(|answer| answer == "USING default") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("its queue does not answer: {}", self.last_words())
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn last_words(&self) -> String {
        let text = fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }

    /// A connection to the queue in it.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn connect(&self) -> Result<Client> {
        Ok(Client::connect(self.addr)?)
    }

    /// Cuts its power. What is on the disk then is the disk.
    ///
    /// # Errors
    /// When it had ended by itself, or its disk cannot be read.
    pub(super) fn cut(&self, disk: &Disk) -> Result<()> {
        if let Some(status) = self.child().try_wait()? {
            bail!("QEMU had ended with {status}: {}", self.last_words());
        }
        self.kill().context("cannot kill QEMU")?;
        disk.power_is_off()
    }

    /// KILL, which QEMU cannot do anything about.
    fn kill(&self) -> std::io::Result<()> {
        let mut child = self.child();
        child.kill()?;
        child.wait().map(|_| ())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("a virtual machine may still run: {error}");
        }
    }
}
