//! `forebay fault add|ls|rm`.

use control::wire::router::{Fault, Setting};

use super::by_hand;
use crate::args::{FaultArgs, FaultVerb, Global};
use crate::output::Done;

pub(super) async fn run(global: &Global, verb: FaultVerb) -> Done {
    match verb {
        FaultVerb::Add(args) => add(global, args).await,
        FaultVerb::Ls => by_hand::list(global, |row| matches!(row.setting, Setting::Fault { .. })).await,
        FaultVerb::Rm { which, why } => {
            let none = by_hand::nothing_set(format!("a fault `{which}`"));
            let id: Option<u64> = which.parse().ok();
            by_hand::clear(
                global,
                |row| match &row.setting {
                    Setting::Fault { route, .. } => id.map_or(*route == which, |id| row.id == id),
                    _ => false,
                },
                why,
                none,
            )
            .await
        }
    }
}

async fn add(global: &Global, args: FaultArgs) -> Done {
    let delay_ms = args.delay.map_or(0, |delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    let FaultArgs { route, error, reset, share, endpoint, lasts, why, .. } = args;
    let fault = Fault { endpoint, share_percent: share, delay_ms, error, reset };
    by_hand::set(global, Setting::Fault { route, fault }, Some(lasts), why).await
}
