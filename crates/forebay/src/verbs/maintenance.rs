//! `forebay maintenance on|off|ls`.

use std::time::Duration;

use control::wire::router::{Maintenance, Setting, Subject};
use stdx::ids::{EnvName, Scope};

use super::by_hand;
use crate::args::{Global, MaintenanceArgs, MaintenanceVerb};
use crate::output::Done;

/// When clients may ask again where nobody says how long it takes.
const RETRY_AFTER: Duration = Duration::from_secs(120);

pub(super) async fn run(global: &Global, verb: MaintenanceVerb) -> Done {
    match verb {
        MaintenanceVerb::On(args) => on(global, args).await,
        MaintenanceVerb::Off { of, why, env } => {
            let of = subject(of, env.env);
            let none = by_hand::nothing_set(format!("the maintenance of `{of}`"));
            let same = |setting: &Setting| matches!(setting, Setting::Maintenance { of: one, .. } if *one == of);
            by_hand::clear(global, |row| same(&row.setting), why, none).await
        }
        MaintenanceVerb::Ls => by_hand::list(global, |row| matches!(row.setting, Setting::Maintenance { .. })).await,
    }
}

async fn on(global: &Global, args: MaintenanceArgs) -> Done {
    let MaintenanceArgs { of, message, retry_after, allow, hand, env } = args;
    let retry_after = retry_after.or(hand.lasts).unwrap_or(RETRY_AFTER).as_millis().div_ceil(1_000);
    let retry_after_s = u32::try_from(retry_after).unwrap_or(u32::MAX);
    let maintenance = Maintenance { message, retry_after_s, allow };
    let setting = Setting::Maintenance { of: subject(of, env.env), maintenance };
    by_hand::set(global, setting, hand.lasts, hand.why).await
}

/// The name of an application has no slash, that of a route has one.
fn subject(of: String, env: EnvName) -> Subject {
    match of.parse() {
        Ok(app) if !of.contains('/') => Subject::App(Scope { app, env }),
        _ => Subject::Route(of),
    }
}
