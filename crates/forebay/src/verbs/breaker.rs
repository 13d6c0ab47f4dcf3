//! `forebay breaker trip|close|auto|ls|log`.

use control::wire::router::{BreakerByHand, Setting};

use super::by_hand;
use crate::args::{BreakerArgs, BreakerVerb, Global};
use crate::output::Done;

pub(super) async fn run(global: &Global, verb: BreakerVerb) -> Done {
    match verb {
        BreakerVerb::Trip(args) => set(global, args, BreakerByHand::Tripped).await,
        BreakerVerb::Close(args) => set(global, args, BreakerByHand::Closed).await,
        BreakerVerb::Auto { route, why } => {
            let none = by_hand::nothing_set(format!("the breaker of `{route}`"));
            let of_route = |setting: &Setting| matches!(setting, Setting::Breaker { route: one, .. } if *one == route);
            by_hand::clear(global, |row| of_route(&row.setting), why, none).await
        }
        BreakerVerb::Ls => {
            by_hand::list(global, |row| matches!(row.setting, Setting::Breaker { .. } | Setting::Degrade { .. })).await
        }
        BreakerVerb::Log => by_hand::log(global).await,
    }
}

async fn set(global: &Global, args: BreakerArgs, state: BreakerByHand) -> Done {
    let setting = Setting::Breaker { route: args.route, state };
    by_hand::set(global, setting, args.hand.lasts, args.hand.why).await
}
