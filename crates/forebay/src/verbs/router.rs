//! `forebay router serve`.

use crate::args::RouterVerb;
use crate::output::Done;

pub(super) async fn run(verb: RouterVerb) -> Done {
    match verb {
        RouterVerb::Serve(args) => crate::node::alone::router(args).await,
    }
}
