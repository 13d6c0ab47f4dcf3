//! RabbitMQ on free ports with folders of its own: nothing of the machine's own installation is used or changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::queue::subject::Running;
use crate::server::{self, Server};

/// Debian's `/usr/sbin/rabbitmq-server` changes to the user `rabbitmq` and its folders; this is what it runs.
pub(super) fn program() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    path.is_file().then_some(path).filter(|_| server::find("epmd").is_some())
}

/// Starts it with its data in `data`, and the name server without which no Erlang node starts.
pub(super) fn start(data: &Path) -> Result<Running> {
    let (addr, names, nodes) = (server::free_addr()?, server::free_addr()?, server::free_addr()?);
    let (ip, names_port) = (addr.ip().to_string(), names.port().to_string());
    let mut epmd = Command::new("epmd");
    epmd.args(["-port", &names_port, "-address", &ip]);
    let epmd = Server::start(epmd, names, &data.with_extension("epmd"))?;

    let settings = data.join("settings");
    fs::create_dir(&settings).context("no folder for RabbitMQ's settings")?;
    let write =
        |name: &str, text: &str| fs::write(settings.join(name), text).context("cannot write RabbitMQ's settings");
    write("plugins", "[].")?;
    write("env", "")?;
    write("settings.conf", "")?;
    let mut command = Command::new(program().unwrap_or_else(|| "rabbitmq-server".into()));
    // As under systemd, the script becomes the server: its process id is the one to measure and to end.
    command.env("RUNNING_UNDER_SYSTEMD", "true").env("HOME", data);
    command.env("ERL_EPMD_PORT", &names_port).env("ERL_EPMD_ADDRESS", &ip);
    command.env("RABBITMQ_NODENAME", format!("bench{}@localhost", addr.port()));
    command.env("RABBITMQ_NODE_IP_ADDRESS", &ip).env("RABBITMQ_NODE_PORT", addr.port().to_string());
    command.env("RABBITMQ_DIST_PORT", nodes.port().to_string());
    command.env("RABBITMQ_MNESIA_BASE", data.join("mnesia")).env("RABBITMQ_LOG_BASE", data.join("log"));
    command.env("RABBITMQ_LOGS", "-").env("RABBITMQ_PID_FILE", data.join("pid"));
    command.env("RABBITMQ_ENABLED_PLUGINS_FILE", settings.join("plugins"));
    command.env("RABBITMQ_CONFIG_FILE", settings.join("settings"));
    command.env("RABBITMQ_CONF_ENV_FILE", settings.join("env"));
    let server = Server::start(command, addr, &data.with_extension("output"))?;
    Ok(Running::new(server, Some(epmd)))
}
