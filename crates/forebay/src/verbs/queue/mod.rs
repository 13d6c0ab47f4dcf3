//! `forebay queue ...`: one file per verb, and the queue served alone.

mod backup;
mod change;
mod dead;
mod import;
mod ls;
mod peek;
mod put;
mod repair;
mod serve;
mod show;

use serde::Serialize;

use crate::args::{Global, QueueVerb};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, verb: QueueVerb) -> Done {
    match verb {
        QueueVerb::Ls(args) => ls::run(global, &args).await,
        QueueVerb::Watch(args) => ls::watch(global, &args).await,
        QueueVerb::Show(args) => show::run(global, &args).await,
        QueueVerb::Peek(args) => peek::run(global, &args).await,
        QueueVerb::Put(args) => put::run(global, args).await,
        QueueVerb::Kick(args) => change::kick(global, &args).await,
        QueueVerb::Bury(args) => change::bury(global, &args).await,
        QueueVerb::Delete(args) => change::delete(global, &args).await,
        QueueVerb::Pause(args) => change::pause(global, &args).await,
        QueueVerb::Dead(args) => dead::list(global, &args).await,
        QueueVerb::Replay(args) => dead::replay(global, &args).await,
        QueueVerb::Resume(args) => change::resume(global, &args).await,
        QueueVerb::Snapshot(args) => backup::snapshot(global, &args).await,
        QueueVerb::Verify(args) => backup::verify(global, args),
        QueueVerb::Repair(args) => repair::run(global, args),
        QueueVerb::Restore(args) => backup::restore(global, &args),
        QueueVerb::Import(args) => import::run(global, &args).await,
        QueueVerb::Serve(args) => serve::run(global, args).await,
    }
}

/// One thing as `--json` tells it: with the version of the listing in front.
#[derive(Debug, Serialize)]
struct Told<'a, T> {
    schema: u32,
    #[serde(flatten)]
    what: &'a T,
}

fn tell_json<T: Serialize>(what: &T) -> Done {
    Ok(output::json_line(&Told { schema: 1, what })?)
}

/// A name as one segment of a path: tubes may have slashes in theirs.
fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// `-` for what is not there.
fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_tube_s_name_is_one_segment_of_a_path() {
        assert_eq!(super::segment("a-b/c;d"), "a%2Db%2Fc%3Bd");
    }
}
