//! `forebay upgrade`.

use std::time::Duration;

use clap::Args;

use super::by_hand::duration;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 5 the new binary does not serve and the old one goes on; 6 not known in time; 7 one is \
                        under way\nExample:\n  install forebay-new /usr/local/bin/forebay && forebay upgrade"
)]
pub(crate) struct UpgradeArgs {
    /// How long to wait for the new process
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
}
