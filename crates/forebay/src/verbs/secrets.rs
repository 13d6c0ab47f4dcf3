//! `forebay secrets set|ls|rm`: values come from stdin and never go to a terminal, an argument or a log.

use std::io::{IsTerminal, Read};

use control::client::body;
use control::error::{ApiError, Kind};
use control::wire::{Listing, SecretRow};
use http::Method;

use crate::args::{Global, SecretsVerb};
use crate::output::{self, Done};

/// Bytes of a secret's value.
const VALUE_BYTES_MAX: u64 = 64 << 10;

pub(super) async fn run(global: &Global, verb: SecretsVerb) -> Done {
    let client = super::client(global)?;
    match verb {
        SecretsVerb::Set { app, key, env } => {
            let value = read_value()?;
            let path = format!("/v1/apps/{app}/secrets/{key}{}", env_query(&env));
            let row: SecretRow = client.json(Method::PUT, &path, body(value)).await?;
            if global.json {
                return Ok(output::json_line(&row)?);
            }
            output::progress(&format!("set {key}, version {}; it takes effect with the next release", row.version));
            Ok(())
        }
        SecretsVerb::Ls { app, env } => {
            let rows: Listing<SecretRow> = client.get(&format!("/v1/apps/{app}/secrets{}", env_query(&env))).await?;
            Ok(output::listing(&rows, global.json, &["key", "version", "set"], |row| {
                vec![row.key.clone(), row.version.to_string(), output::local_time(row.set_ns)]
            })?)
        }
        SecretsVerb::Rm { app, key, env } => {
            let path = format!("/v1/apps/{app}/secrets/{key}{}", env_query(&env));
            let row: SecretRow = client.json(Method::DELETE, &path, body("")).await?;
            if global.json {
                return Ok(output::json_line(&row)?);
            }
            output::progress(&format!("removed {key}"));
            Ok(())
        }
    }
}

fn env_query(env: &crate::args::EnvFlag) -> String {
    super::query(&[("env", Some(env.env.to_string()))])
}

/// The value without the newline that a shell's `echo` adds.
fn read_value() -> Result<Vec<u8>, ApiError> {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        output::progress("reading the value from the terminal, end with Ctrl-D");
    }
    let mut value = Vec::new();
    stdin
        .by_ref()
        .take(VALUE_BYTES_MAX + 1)
        .read_to_end(&mut value)
        .map_err(|e| ApiError::new(Kind::Failed, "input_failed", format!("cannot read stdin: {e}")))?;
    if value.len() as u64 > VALUE_BYTES_MAX {
        return Err(ApiError::new(Kind::Usage, "secret_too_big", "a secret may have 64 KiB"));
    }
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    if value.is_empty() {
        return Err(ApiError::new(Kind::Usage, "secret_empty", "there was no value on stdin")
            .hint("printf %s VALUE | forebay secrets set APP KEY"));
    }
    Ok(value)
}
