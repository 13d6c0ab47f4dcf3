//! `-u`: the process becomes another user, while it still has one thread.

use std::io;

use control::error::{ApiError, Kind};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};

/// Becomes the user of this name, and of its group alone. Threads that are started later are that user's too.
pub(super) fn become_user(name: &str) -> Result<(), ApiError> {
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(|cause| failed(name, &cause))?;
    let (uid, gid) = find(&passwd, name).ok_or_else(|| {
        ApiError::new(Kind::Usage, "no_such_user", format!("-u {name}: no such user"))
            .hint("name one that stands in /etc/passwd")
    })?;
    if rustix::process::geteuid() == uid && rustix::process::getegid() == gid {
        return Ok(());
    }
    set_thread_groups(&[gid])
        .and_then(|()| set_thread_gid(gid))
        .and_then(|()| set_thread_uid(uid))
        .map_err(|cause| failed(name, &cause.into()))
}

fn failed(name: &str, cause: &io::Error) -> ApiError {
    ApiError::new(Kind::Failed, "user_not_changed", format!("-u {name}: {cause}"))
        .hint("only root can become another user")
}

fn find(passwd: &str, name: &str) -> Option<(Uid, Gid)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut ids = line.split(':').skip(2);
    let uid = ids.next()?.parse().ok()?;
    let gid = ids.next()?.parse().ok()?;
    Some((Uid::from_raw(uid), Gid::from_raw(gid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbeanstalkd2:x:7:8::/:/bin/false\nbeanstalkd:x:117:122::/:/bin/false\n";
        assert_eq!(find(passwd, "beanstalkd"), Some((Uid::from_raw(117), Gid::from_raw(122))));
        assert_eq!(find(passwd, "beanstalk"), None);
        assert_eq!(become_user("no-such-user-here").unwrap_err().code, "no_such_user");
    }
}
