//! The queues that are compared, and how each is told how safe an acknowledged job has to be.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::queue::client::Protocol;
use crate::queue::rabbitmq;
use crate::queue::rounds::Data;
use crate::server::{self, Server};

/// What an acknowledged job survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A power cut: it is on disk before it is acknowledged.
    Durable,
    /// The process; what was put within the last moments is lost with the power.
    Interval,
    /// Nothing: jobs end with the process.
    Memory,
}

impl Class {
    /// As the variant of a figure.
    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Durable => "durable",
            Class::Interval => "interval",
            Class::Memory => "memory",
        }
    }
}

/// A queue to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Forebay(PathBuf),
    Beanstalkd,
    Redis,
    RabbitMq,
}

/// One that runs, with the processes that it needs beside it; all gone when it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) server: Server,
    _helper: Option<Server>,
    // Behind the processes, which end before their folder goes.
    _data: Option<Data>,
}

impl Running {
    pub(super) fn new(server: Server, helper: Option<Server>) -> Running {
        Running { server, _helper: helper, _data: None }
    }

    /// Keeps its folder as long as it runs.
    pub(super) fn with_data(mut self, data: Data) -> Running {
        self._data = self._data.or(Some(data));
        self
    }
}

impl Subject {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Subject::Forebay(_) => crate::figures::FOREBAY,
            Subject::Beanstalkd => "beanstalkd",
            Subject::Redis => "redis",
            Subject::RabbitMq => "rabbitmq",
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Subject::Forebay(_) | Subject::Beanstalkd => Protocol::Beanstalk,
            Subject::Redis => Protocol::Redis,
            Subject::RabbitMq => Protocol::Amqp,
        }
    }

    /// Whether it can be run that way. A quorum queue always has jobs on disk before it confirms them.
    pub(super) fn offers(&self, class: Class) -> bool {
        match self {
            Subject::Forebay(_) | Subject::Beanstalkd => true,
            Subject::Redis => class != Class::Memory,
            Subject::RabbitMq => class == Class::Durable,
        }
    }

    /// Whether one server serves all rounds of a scenario, each with a queue of its own, because its start takes long.
    pub(super) fn is_kept_running(&self) -> bool {
        *self == Subject::RabbitMq
    }

    /// `None` when it is not installed or not built.
    pub(super) fn program(&self) -> Option<PathBuf> {
        match self {
            Subject::Forebay(path) => Some(path.clone()).filter(|path| path.is_file()),
            Subject::Beanstalkd => server::find("beanstalkd"),
            Subject::Redis => server::find("redis-server"),
            Subject::RabbitMq => rabbitmq::program(),
        }
    }

    /// Starts it on a free port with its data in `data`.
    pub(super) fn start(&self, class: Class, data: &Path) -> Result<Running> {
        self.start_with(class, data, None)
    }

    /// The same, where a durable Forebay reads its limits from a `node.toml`.
    pub(super) fn start_with(&self, class: Class, data: &Path, config: Option<&Path>) -> Result<Running> {
        if *self == Subject::RabbitMq {
            return rabbitmq::start(data);
        }
        let addr = server::free_addr()?;
        let (ip, port) = (addr.ip().to_string(), addr.port().to_string());
        let mut command = Command::new(self.program().unwrap_or_else(|| self.name().into()));
        match (self, class) {
            (Subject::Forebay(_), Class::Durable) => {
                command.args(["queue", "serve", "--listen", &addr.to_string(), "--data"]).arg(data);
                if let Some(config) = config {
                    command.arg("--config").arg(config);
                }
            }
            (Subject::Redis, _) => {
                let fsync = if class == Class::Durable { "always" } else { "everysec" };
                command.args(["--bind", &ip, "--port", &port, "--dir"]).arg(data);
                command.args(["--appendonly", "yes", "--appendfsync", fsync, "--save", ""]);
                command.args(["--auto-aof-rewrite-percentage", "0"]);
            }
            // beanstalkd, and Forebay with beanstalkd's flags.
            (subject, class) => {
                if matches!(subject, Subject::Forebay(_)) {
                    command.arg("beanstalkd");
                }
                command.args(["-l", &ip, "-p", &port]);
                match class {
                    // -f0: fsync for every write.
                    Class::Durable => command.args(["-f0", "-b"]).arg(data),
                    Class::Interval => command.args(["-f50", "-b"]).arg(data),
                    Class::Memory => &mut command,
                };
            }
        }
        Ok(Running::new(Server::start(command, addr, &data.with_extension("output"))?, None))
    }
}
