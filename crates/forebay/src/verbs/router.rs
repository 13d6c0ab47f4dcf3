//! `forebay router serve`.

use crate::args::{Global, RouterVerb};
use crate::output::Done;

pub(super) async fn run(global: &Global, verb: RouterVerb) -> Done {
    match verb {
        RouterVerb::Serve(args) => crate::node::router_alone::serve(global, args).await,
    }
}
