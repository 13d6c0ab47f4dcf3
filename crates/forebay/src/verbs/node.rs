//! `forebay node`: a node until it is told to stop.

use std::path::Path;

use deploy::AtStop;

use crate::args::{Global, NodeArgs};
use crate::node::Node;
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, args: NodeArgs) -> Done {
    if args.print_unit {
        return Ok(output::line(&crate::notify::unit(&command_line(super::data_dir(global)?.path(), &args)))?);
    }
    let config = crate::node::settings::load(global, &args.listen)?;
    let node = Node::start(config).await?;
    node.print_ports();
    node.until_stopped(AtStop::LeaveInstances).await
}

/// This command line again, with absolute paths, for the unit.
fn command_line(data: &Path, args: &NodeArgs) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let exe = std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/forebay".into());
    let mut text = format!("{} node --data {}", exe.display(), absolute(data).display());
    let listen = &args.listen;
    let addrs = [("http", &listen.http), ("https", &listen.https), ("queue", &listen.queue), ("admin", &listen.admin)];
    for (flag, addrs) in addrs {
        if let Some(addrs) = addrs {
            text.push_str(&format!(" --{flag} {addrs}"));
        }
    }
    if let Some(file) = &listen.config {
        text.push_str(&format!(" --config {}", absolute(file).display()));
    }
    text
}
