//! The queues, each told to answer a put only when it is on disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::queue::driver::Protocol;
use crate::server::{self, Server};

/// A queue to measure.
pub(super) enum Subject {
    Forebay(PathBuf),
    Beanstalkd,
    Redis,
}

impl Subject {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Subject::Forebay(_) => crate::figures::FOREBAY,
            Subject::Beanstalkd => "beanstalkd",
            Subject::Redis => "redis",
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Subject::Forebay(_) | Subject::Beanstalkd => Protocol::Beanstalk,
            Subject::Redis => Protocol::Redis,
        }
    }

    /// `None` when it is not installed or not built.
    pub(super) fn program(&self) -> Option<PathBuf> {
        match self {
            Subject::Forebay(path) => Some(path.clone()).filter(|path| path.is_file()),
            Subject::Beanstalkd => server::find("beanstalkd"),
            Subject::Redis => server::find("redis-server"),
        }
    }

    /// Starts it on a free port with its data in `data`, which is empty.
    pub(super) fn start(&self, data: &Path) -> Result<Server> {
        let addr = server::free_addr()?;
        let (ip, port) = (addr.ip().to_string(), addr.port().to_string());
        let mut command = Command::new(self.program().unwrap_or_else(|| self.name().into()));
        match self {
            Subject::Forebay(_) => {
                command.args(["queue", "serve", "--listen", &addr.to_string(), "--data"]).arg(data);
            }
            // -f0: fsync for every write.
            Subject::Beanstalkd => {
                command.args(["-l", &ip, "-p", &port, "-f0", "-b"]).arg(data);
            }
            Subject::Redis => {
                command.args(["--bind", &ip, "--port", &port, "--dir"]).arg(data);
                command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
                command.args(["--auto-aof-rewrite-percentage", "0"]);
            }
        }
        Server::start(command, addr, &data.join("output"))
    }
}
