//! `forebay up DIR`: a node in the foreground with an application deployed to it; idempotent.

use control::client::{Client, body};
use control::wire::{LogRow, ServingRow};
use deploy::AtStop;
use http::Method;
use net::sockets::Sockets;

use super::deploy::Source;
use crate::args::{EnvFlag, Global, UpArgs, WaitFlag};
use crate::node::{Control, Node};
use crate::output::{self, Done};
use crate::upgrade::Upgrades;

pub(super) async fn run(global: &Global, args: UpArgs) -> Done {
    let source = Source::read(&args.folder, super::data_dir(global)?.path())?;
    let client = super::client(global)?;
    if client.is_there().await {
        output::progress("a node runs already; deploying to it");
        deploy(global, &client, source).await?;
        return follow_log(client, global.json, None).await;
    }
    let upgrades = Upgrades::never("`forebay up` is not upgraded in its place: run `forebay node`")?;
    let control = Control::new(upgrades, Sockets::default())?;
    let node = Node::start(crate::node::settings::load(global, &args.listen)?, control).await?;
    node.print_ports();
    let client = super::client(global)?;
    let app = source.app().to_string();
    let json = global.json;
    let global = global.clone();
    let mut work = tokio::task::spawn_local(async move {
        deploy(&global, &client, source).await?;
        output::progress(&format!("{app} is up; its log follows, Ctrl-C stops everything"));
        follow_log(client, json, Some(0)).await
    });
    // Whatever ends first: an operator's signal stops the node; a failed deploy stops it too and is told at the end.
    tokio::select! {
        () = node.stop_requested() => {
            work.abort();
            node.until_stopped(AtStop::StopInstances).await
        }
        done = &mut work => {
            let done = done.unwrap_or(Ok(()));
            node.request_stop();
            node.until_stopped(AtStop::StopInstances).await.and(done)
        }
    }
}

async fn deploy(global: &Global, client: &Client, source: Source) -> Done {
    let env = EnvFlag { env: stdx::ids::EnvName::production() };
    let path = format!("/v1/apps/{}/digest{}", source.app(), super::query(&[("env", Some(env.env.to_string()))]));
    let serving: ServingRow = client.get(&path).await?;
    if serving.digest.as_deref() == Some(source.digest()) {
        output::progress("nothing has changed since the release that serves");
        return Ok(());
    }
    super::deploy::follow(source.send(client, &env, WaitFlag { wait: true }).await?, global.json).await
}

async fn follow_log(client: Client, json: bool, last: Option<u32>) -> Done {
    let last = last.unwrap_or(10).to_string();
    let path = format!("/v1/logs{}", super::query(&[("follow", Some("true".into())), ("n", Some(last))]));
    let mut rows = client.lines(Method::GET, &path, body("")).await?;
    while let Some(row) = rows.next::<LogRow>().await? {
        super::logs::print(&row, json)?;
    }
    Ok(())
}
