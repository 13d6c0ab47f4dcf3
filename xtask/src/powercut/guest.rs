//! What runs in the virtual machine: Debian's kernel for clouds, and an initial file system of busybox, Forebay and the libraries
//! that it is linked with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::{packages, workspace};

/// A kernel and its file system.
pub(super) struct Guest {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
}

/// What is wrong with the guest on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The queue runs as `beanstalkd -F`: what is written is left to the kernel.
    NeverSynced,
    /// The file system tells nobody to flush: what is synced is with the disk, and not on it.
    NeverFlushed,
}

impl Fault {
    /// On the kernel's command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Fault::None => "",
            Fault::NeverSynced => "never_synced",
            Fault::NeverFlushed => "never_flushed",
        }
    }
}

/// Where the guest's relay listens.
pub(super) const GUEST_PORT: u16 = 11_400;

/// Drivers of the virtual disk and network, with what they need.
const DRIVERS: [&str; 9] = [
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
];

/// The queue listens on the guest's loopback, as it should without TLS; busybox carries connections there.
const INIT: &str = r#"#!/bin/busybox sh
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
for pass in 1 2 3 4; do for driver in /drivers/*.ko; do $B insmod $driver 2>/dev/null; done; done
$B ip link set lo up
$B ip addr add 10.0.2.15/24 dev eth0
$B ip link set eth0 up
BARRIER=barrier
$B grep -q never_flushed /proc/cmdline && BARRIER=nobarrier
$B mount -t ext4 -o $BARRIER /dev/vda /disk || echo "there is no disk"
$B mkdir -p /disk/queue
exec 2>&1
$B nc -ll -p 11400 -e /relay &
if $B grep -q never_synced /proc/cmdline; then
    /bin/forebay beanstalkd -l 127.0.0.1 -p 11300 -b /disk/queue -F
else
    /bin/forebay queue serve --data /disk/queue --listen 127.0.0.1:11300
fi
echo "the queue has ended: $?"
$B poweroff -f
"#;

const RELAY: &str = "#!/bin/busybox sh\nexec /bin/busybox nc 127.0.0.1 11300\n";

impl Guest {
    /// Puts it together below `folder`.
    ///
    /// # Errors
    /// When the build fails or a part cannot be had.
    pub(super) fn build(folder: &Path) -> Result<Guest> {
        fs::create_dir_all(folder)?;
        let package = kernel_package(folder)?;
        let kernel = only(&package.join("boot"), |name| name.starts_with("vmlinuz"))?;
        let modules = only(&package.join("lib/modules"), |_| true)?.join("kernel");
        let initrd = folder.join("initrd");
        file_system(&folder.join("root"), &modules, &initrd)?;
        Ok(Guest { kernel, initrd })
    }
}

/// Debian's kernel package, unpacked; fetched once.
fn kernel_package(folder: &Path) -> Result<PathBuf> {
    const NAME: &str = "linux-image-cloud-amd64";
    let unpacked = folder.join("kernel");
    if unpacked.join("boot").is_dir() {
        return Ok(unpacked);
    }
    packages::refresh_lists_once();
    let depends = output(Command::new("apt-cache").args(["depends", NAME]))?;
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image"));
    let package = format!("linux-image{}", package.with_context(|| format!("{NAME} names no kernel"))?);
    println!("fetching the Debian package {package}");
    // Apt drops root's rights to fetch, and then cannot write here; it says so and does it as root.
    output(Command::new("apt-get").args(["download", "--quiet", &package]).current_dir(folder))?;
    let archive = only(folder, |name| name.starts_with(&package))?;
    output(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&unpacked))?;
    fs::remove_file(archive)?;
    Ok(unpacked)
}

fn file_system(root: &Path, modules: &Path, initrd: &Path) -> Result<()> {
    if root.is_dir() {
        fs::remove_dir_all(root)?;
    }
    for folder in ["bin", "dev", "proc", "disk", "drivers"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for driver in DRIVERS {
        let file = modules.join(format!("{driver}.ko"));
        let name = file.file_name().context("a driver without a name")?.to_owned();
        fs::copy(&file, root.join("drivers").join(name)).with_context(|| format!("no driver {}", file.display()))?;
    }
    let busybox = packages::find("busybox").context("busybox is gone")?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    let forebay = build_forebay()?;
    output(Command::new("strip").arg("-o").arg(root.join("bin/forebay")).arg(&forebay))?;
    for library in libraries(&forebay)? {
        let place = root.join(library.strip_prefix("/")?);
        fs::create_dir_all(place.parent().context("a library without a folder")?)?;
        fs::copy(&library, place)?;
    }
    for (name, text) in [("init", INIT), ("relay", RELAY)] {
        fs::write(root.join(name), text)?;
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755))?;
    }
    // Names go in by the shell, which both programs can be piped with.
    output(
        Command::new("sh")
            .current_dir(root)
            .arg("-c")
            .arg(format!("busybox find . | busybox cpio -o -H newc > '{}'", initrd.display())),
    )?;
    Ok(())
}

fn build_forebay() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root()).args(["build", "--locked", "--package", "forebay"]);
    ensure!(command.stdin(Stdio::null()).status().context("cannot run cargo")?.success(), "the build failed");
    Ok(workspace::target().join("debug/forebay"))
}

fn libraries(binary: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(Command::new("ldd").arg(binary))?;
    Ok(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// The one entry of a folder whose name is so.
fn only(folder: &Path, is_it: impl Fn(&str) -> bool) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&is_it) {
            return Ok(entry.path());
        }
    }
    bail!("what is looked for is not in {}", folder.display())
}

/// What a program prints.
///
/// # Errors
/// When it fails, with what it said.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    ensure!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr).trim());
    String::from_utf8(done.stdout).with_context(|| format!("{name} prints no text"))
}
