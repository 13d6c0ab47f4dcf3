//! `forebay node`: a node until it is told to stop.

use crate::args::{Global, NodeArgs};
use crate::node::{Instances, Node};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, args: NodeArgs) -> Done {
    if args.print_unit {
        return Ok(output::line(&crate::notify::unit(&command_line(global, &args)))?);
    }
    let config = crate::node::settings::load(global, &args.listen)?;
    let node = Node::start(config).await?;
    node.print_ports()?;
    node.until_stopped(Instances::Leave).await
}

/// This command line again, with absolute paths, for the unit.
fn command_line(global: &Global, args: &NodeArgs) -> String {
    let absolute = |path: &std::path::Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let exe = std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/forebay".into());
    let mut text = format!("{} node --data {}", exe.display(), absolute(super::data_dir(global).path()).display());
    let listen = &args.listen;
    for (flag, addrs) in [("http", &listen.http), ("queue", &listen.queue), ("admin", &listen.admin)] {
        if !addrs.is_empty() {
            let list: Vec<String> = addrs.iter().map(ToString::to_string).collect();
            text.push_str(&format!(" --{flag} {}", list.join(",")));
        }
    }
    for (flag, file) in [("config", &listen.config), ("key-file", &listen.key_file)] {
        if let Some(file) = file {
            text.push_str(&format!(" --{flag} {}", absolute(file).display()));
        }
    }
    text
}
