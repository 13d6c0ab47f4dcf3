//! Control groups, v1 and v2, controller by controller: many machines mount some of both.
//!
//! Each instance gets `forebay/<app>-<env>-<instance>` under every hierarchy that is needed: one for its memory limit,
//! one for its limit of processes, and the v2 one, with or without controllers, because it can kill all members at
//! once. What cannot be had is said in a note and is no error.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::procs;
use crate::spec::{Cgroups, Spec};

/// The groups of one instance.
#[derive(Debug, Default)]
pub(crate) struct Cgroup {
    /// A folder per hierarchy.
    pub(crate) folders: Vec<PathBuf>,
    /// Whether every limit that was asked for holds.
    pub(crate) limited: bool,
    /// What could not be had, in sentences.
    pub(crate) notes: Vec<String>,
}

/// Where the hierarchies are mounted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mounts {
    unified: Option<PathBuf>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
}

/// Makes the groups of an instance and sets its limits.
pub(crate) fn make(spec: &Spec) -> Cgroup {
    if spec.cgroups == Cgroups::Off {
        return Cgroup::default();
    }
    let mounts = Mounts::parse(&fs::read_to_string("/proc/mounts").unwrap_or_default());
    let name = format!("{}-{}-{}", spec.scope.app, spec.scope.env, spec.instance);
    let mut made = Cgroup { limited: true, ..Cgroup::default() };
    let unified = mounts.unified.as_deref().and_then(|mount| made.group(mount, &name));
    for controller in Controller::all(spec, &mounts) {
        let Some(limit) = controller.limit else { continue };
        let (group, file) = match (&unified, controller.mount_v1) {
            (Some(group), _) if group.join(controller.file_v2).exists() => (group.clone(), controller.file_v2),
            (_, Some(mount)) => match made.group(mount, &name) {
                Some(group) => (group, controller.file_v1),
                None => continue,
            },
            (_, None) => {
                made.without(format!(
                    "no control group limits {}: the machine has no controller for it",
                    controller.what
                ));
                continue;
            }
        };
        if let Err(error) = fs::write(group.join(file), limit.to_string()) {
            made.without(format!(
                "no control group limits {}: {}: {error}",
                controller.what,
                group.join(file).display()
            ));
        }
    }
    made.limited &= !made.folders.is_empty();
    made
}

impl Cgroup {
    /// Kills every member.
    pub(crate) fn kill(&self) {
        kill(&self.folders);
    }

    /// Members that the kernel killed because the memory limit was reached.
    pub(crate) fn oom_kills(&self) -> u64 {
        let files =
            self.folders.iter().flat_map(|folder| [folder.join("memory.events"), folder.join("memory.oom_control")]);
        files.filter_map(|file| counter(&fs::read_to_string(file).ok()?, "oom_kill")).max().unwrap_or(0)
    }

    fn group(&mut self, mount: &Path, name: &str) -> Option<PathBuf> {
        // The last instance of all may remove the common folder between our making it and our using it.
        let made = match make_group(mount, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_group(mount, name),
            other => other,
        };
        match made {
            Ok(folder) => {
                if !self.folders.contains(&folder) {
                    self.folders.push(folder.clone());
                }
                Some(folder)
            }
            Err(error) => {
                self.without(format!("no control group under {}: {error}", mount.display()));
                None
            }
        }
    }

    fn without(&mut self, note: String) {
        self.limited = false;
        self.notes.push(note);
    }
}

/// Kills every member of these groups.
pub(crate) fn kill(folders: &[PathBuf]) {
    for folder in folders {
        if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
            continue;
        }
        let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines().filter_map(|line| line.parse().ok()) {
            if let Some(start) = procs::start_time(pid) {
                procs::signal(pid, start, Signal::KILL);
            }
        }
    }
}

/// Removes these groups as far as they are empty, and the common folder above them with the last one.
pub(crate) fn remove(folders: &[PathBuf]) {
    let parents = folders.iter().filter_map(|folder| folder.parent());
    for folder in folders.iter().map(PathBuf::as_path).chain(parents) {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, folder = %folder.display(), "the control group is in use");
            }
            _ => {}
        }
    }
}

/// One thing that is limited.
struct Controller<'a> {
    what: &'static str,
    limit: Option<u64>,
    file_v1: &'static str,
    file_v2: &'static str,
    mount_v1: Option<&'a PathBuf>,
}

impl Controller<'_> {
    fn all<'a>(spec: &Spec, mounts: &'a Mounts) -> [Controller<'a>; 2] {
        let memory = Controller {
            what: "memory",
            limit: spec.limits.memory_bytes_max,
            file_v1: "memory.limit_in_bytes",
            file_v2: "memory.max",
            mount_v1: mounts.memory.as_ref(),
        };
        let pids = Controller {
            what: "processes",
            limit: spec.limits.pids_max.map(u64::from),
            file_v1: "pids.max",
            file_v2: "pids.max",
            mount_v1: mounts.pids.as_ref(),
        };
        [memory, pids]
    }
}

/// `MOUNT/forebay/NAME`. One that is there already is another node's, or was left by an init that was killed; it is left
/// alone, and this one's name gets init's process id.
fn make_group(mount: &Path, name: &str) -> io::Result<PathBuf> {
    let parent = mount.join("forebay");
    make_dir(&parent)?;
    // Only v2 has these files; a controller that the machine does not offer is refused, and found missing later.
    for (folder, control) in [(mount, "+memory"), (mount, "+pids"), (parent.as_path(), "+memory"), (&parent, "+pids")] {
        let file = folder.join("cgroup.subtree_control");
        if file.exists()
            && let Err(error) = fs::write(&file, control)
        {
            tracing::debug!(%error, control, file = %file.display(), "not offered");
        }
    }
    let folder = parent.join(name);
    match fs::create_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let folder = parent.join(format!("{name}.{}", std::process::id()));
            make_dir(&folder).map(|()| folder)
        }
        other => other.map(|()| folder),
    }
}

fn make_dir(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// The number behind `name` in lines like `oom_kill 1`.
fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

impl Mounts {
    /// From the lines of `/proc/mounts`: source, place, type, options.
    fn parse(text: &str) -> Mounts {
        let mut mounts = Mounts::default();
        for line in text.lines() {
            let mut fields = line.split(' ').skip(1);
            let (Some(place), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let has = |controller| options.split(',').any(|option| option == controller);
            match kind {
                "cgroup2" => mounts.unified = Some(place.into()),
                "cgroup" if has("memory") => mounts.memory = Some(place.into()),
                "cgroup" if has("pids") => mounts.pids = Some(place.into()),
                _ => {}
            }
        }
        mounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_has_both() {
        let mounts = Mounts::parse(
            "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
             cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\n\
             cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n",
        );
        assert_eq!(mounts.memory.as_deref(), Some(Path::new("/sys/fs/cgroup/memory")));
        assert_eq!(mounts.pids.as_deref(), Some(Path::new("/sys/fs/cgroup/pids")));
        assert_eq!(mounts.unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(Mounts::parse("tmpfs /tmp tmpfs rw 0 0\n"), Mounts::default());
    }

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(counter("oom 1\n", "oom_kill"), None);
    }
}
