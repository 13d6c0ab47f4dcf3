//! `forebay queue serve`: the queue and nothing else.

use queue::config::Config;

use crate::args::{Global, ListenFlags, QueueServeArgs};
use crate::node::{alone, settings};
use crate::output::Done;

pub(super) async fn run(global: &Global, args: QueueServeArgs) -> Done {
    let data = super::super::data_dir(global)?;
    let mut config = match args.config {
        Some(file) => {
            settings::load(global, &ListenFlags { config: Some(file), ..ListenFlags::default() })?.config.queue
        }
        None => Config { listen: vec![settings::default_queue_addr()?], ..Config::default() },
    };
    if !args.listen.is_empty() {
        config.listen = args.listen;
    }
    if !args.http.is_empty() {
        config.http_listen = args.http;
    }
    alone::queue(&data, config).await
}
