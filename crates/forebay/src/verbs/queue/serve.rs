//! `forebay queue serve`: the queue and nothing else.

use std::sync::Arc;

use net::tls::CertificateConfig;
use queue::config::Config;
use queue::{NoTokens, TokenSource};

use crate::args::{Global, ListenFlags, QueueServeArgs};
use crate::node::token_file::FileTokens;
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
    if !args.tls.is_empty() {
        config.tls.listen = args.tls;
    }
    if let Some((cert, key)) = args.cert.zip(args.key) {
        config.tls.certificates = vec![CertificateConfig { cert, key }];
    }
    let tokens: Arc<dyn TokenSource> = match args.tokens {
        Some(file) => Arc::new(FileTokens::load(&file)?),
        None => Arc::new(NoTokens),
    };
    alone::queue(&data, config, tokens).await
}
