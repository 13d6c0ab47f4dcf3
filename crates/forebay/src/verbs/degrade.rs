//! `forebay degrade APP LEVEL`.

use control::wire::router::Setting;

use super::by_hand;
use crate::args::{DegradeArgs, Global, Level};
use crate::output::Done;

pub(super) async fn run(global: &Global, args: DegradeArgs) -> Done {
    let (app, environment) = (args.app, args.env.env);
    match args.level {
        Level::Set(level) => {
            by_hand::set(global, Setting::Degrade { app, environment, level }, args.hand.lasts, args.hand.why).await
        }
        Level::Auto => {
            let none = by_hand::nothing_set(format!("the degrade level of {app}/{environment}"));
            let same = |setting: &Setting| matches!(setting, Setting::Degrade { app: one, environment: env, .. } if (one, env) == (&app, &environment));
            by_hand::clear(global, |row| same(&row.setting), args.hand.why, none).await
        }
    }
}
