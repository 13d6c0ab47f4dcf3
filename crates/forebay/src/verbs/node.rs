//! `forebay node`: a node until it is told to stop.

use std::path::Path;

use crate::args::{Global, NodeArgs};
use crate::node::{Control, Node};
use crate::output::{self, Done};
use crate::upgrade::{Binary, Heir, Upgrades};

pub(super) async fn run(global: &Global, args: NodeArgs) -> Done {
    if args.print_unit {
        return Ok(output::line(&crate::notify::unit(&command_line(super::data_dir(global)?.path(), &args)))?);
    }
    let binary = Binary::of_this_process()?;
    let heir = Heir::of_what_there_is()?;
    if heir.only_checks() {
        let could = crate::node::settings::load(global, &args.listen)
            .and_then(|settings| Ok(crate::node::succession::check(&settings)?))
            .and_then(|()| Ok(heir.could()?));
        return could.inspect_err(|quit| heir.fails(quit));
    }
    // Handled from now on: a program that took the place of another began with them ignored.
    let control = Control::new(Upgrades::on_usr2()?, heir.sockets)?;
    let node = Node::start(crate::node::settings::load(global, &args.listen)?, control).await?;
    node.print_ports();
    node.until_its_end(&binary).await
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
