//! One file per verb: its steps, and how its result is printed.

pub(crate) mod beanstalkd;
mod breaker;
mod by_hand;
mod certs;
mod completion;
mod degrade;
mod deploy;
mod fault;
mod figures;
mod logs;
mod maintenance;
mod node;
mod ps;
mod purge;
mod queue;
mod releases;
mod router;
mod scale;
mod schema;
mod secrets;
mod trace;
mod up;
mod upgrade;
mod why;

use control::client::Client;
use control::error::ApiError;
use control::wire::AlertRow;

use crate::args::{Cli, Global, Verb};
use crate::output::{self, Done};
use crate::paths::DataDir;

/// Runs the verb that was typed.
pub(crate) async fn run(cli: Cli) -> Done {
    let global = cli.global;
    match cli.verb {
        Verb::Up(args) => up::run(&global, args).await,
        Verb::Node(args) => node::run(&global, args).await,
        Verb::Deploy(args) => deploy::run(&global, args).await,
        Verb::Rollback(args) => deploy::rollback(&global, args).await,
        Verb::Ps(args) => ps::run(&global, args).await,
        Verb::Releases(args) => releases::run(&global, args).await,
        Verb::Scale(args) => scale::run(&global, args).await,
        Verb::Logs(args) => logs::run(&global, args).await,
        Verb::Trace(args) => trace::run(&global, args).await,
        Verb::Why(args) => why::run(&global, args).await,
        Verb::Routes(args) => figures::routes(&global, args).await,
        Verb::Upstreams(args) => figures::upstreams(&global, args).await,
        Verb::Upgrade(args) => upgrade::run(&global, args).await,
        Verb::Certs => certs::run(&global).await,
        Verb::Queue(verb) => queue::run(&global, verb).await,
        Verb::Router(verb) => router::run(&global, verb).await,
        Verb::Breaker(verb) => breaker::run(&global, verb).await,
        Verb::Maintenance(verb) => maintenance::run(&global, verb).await,
        Verb::Degrade(args) => degrade::run(&global, args).await,
        Verb::Fault(verb) => fault::run(&global, verb).await,
        Verb::Purge(args) => purge::run(&global, args).await,
        Verb::Beanstalkd(args) => beanstalkd::run(&args.flags).await,
        Verb::Secrets(verb) => secrets::run(&global, verb).await,
        Verb::Schema(args) => schema::run(&args),
        Verb::Completion(args) => completion::run(&args),
    }
}

/// The data folder that was asked for: by flag, environment or node.toml, else the default one.
fn data_dir(global: &Global) -> Result<DataDir, ApiError> {
    Ok(crate::node::settings::load_quietly(global)?.data)
}

/// A client of the node on the data folder that was asked for.
fn client(global: &Global) -> Result<Client, ApiError> {
    Ok(Client::new(data_dir(global)?.admin_socket()))
}

/// A query string from the pairs that have a value, percent-encoded.
pub(crate) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        let Some(value) = value else { continue };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    text
}

/// An alert in a few words.
pub(crate) fn alert(row: &AlertRow) -> String {
    let of = |ms: u64| output::ago(ms / 1_000);
    let value = row.value_ms.map_or_else(|| "never".into(), of);
    format!("{} {value} (limit {})", row.kind, of(row.limit_ms))
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn a_query_is_encoded_and_leaves_out_what_is_absent() {
        let pairs = [("q", Some("a b&\"ü\"".to_string())), ("env", None), ("n", Some("5".into()))];
        assert_eq!(query(&pairs), "?q=a%20b%26%22%C3%BC%22&n=5");
        assert_eq!(query(&[("x", None)]), "");
    }
}
