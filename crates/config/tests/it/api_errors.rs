//! The same errors as the admin API and the CLI have them.

use config::Manifest;
use control::error::{ApiError, Kind};

use crate::support::shop;

#[test]
fn one_problem_is_the_error_itself() {
    let error = ApiError::from(Manifest::parse(&shop("instance = 2\n")).unwrap_err());
    assert_eq!((error.kind, error.code.as_str()), (Kind::Usage, "manifest_unknown_key"));
    assert_eq!(error.message, "unknown key `instance` in processes.worker");
    assert_eq!(error.at.as_deref(), Some("processes.worker.instance (forebay.toml:9:1)"));
    assert_eq!(error.hint.as_deref(), Some("did you mean `instances`?"));
    assert_eq!(error.details, ["9 | instance = 2", "  | ^^^^^^^^"]);
}

#[test]
fn several_problems_are_counted_and_told_in_the_details() {
    let error = ApiError::from(Manifest::parse(&shop("instances = 1000\ncolour = 1\n")).unwrap_err());
    assert_eq!(error.code, "manifest_invalid");
    assert_eq!(error.message, "2 problems in the configuration");
    insta::assert_snapshot!(error.details.join("\n"), @r#"
    `instances` is 1000: expected a whole number from 0 to 100
      at processes.worker.instances (forebay.toml:9:13)
      9 | instances = 1000
        |             ^^^^

    unknown key `colour` in processes.worker
      at processes.worker.colour (forebay.toml:10:1)
      10 | colour = 1
         | ^^^^^^
    hint: known here: command, health, instances, limits, secrets_env, stdout_block_ms, stop_timeout_ms
    "#);
}
