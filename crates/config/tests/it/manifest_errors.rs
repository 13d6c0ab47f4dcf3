//! What a user is told about a manifest with a slip in it: line, key, what was expected, what was probably meant.

use crate::support::{refused, shop, told};

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    insta::assert_snapshot!(told(&shop("instance = 2\n")), @r#"
    unknown key `instance` in processes.worker
      at processes.worker.instance (forebay.toml:9:1)
      9 | instance = 2
        | ^^^^^^^^
    hint: did you mean `instances`?
    "#);
    insta::assert_snapshot!(told(&shop("[[route]]\nprocess = \"web\"\n")), @r#"
    unknown key `route`
      at route (forebay.toml:9:3)
      9 | [[route]]
        |   ^^^^^
    hint: did you mean `routes`?
    "#);
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    insta::assert_snapshot!(told(&shop("[processes.worker.health]\ncommand = \"x\"\n")), @r#"
    unknown key `command` in processes.worker.health
      at processes.worker.health.command (forebay.toml:10:1)
      10 | command = "x"
         | ^^^^^^^
    hint: `command` belongs in [processes.NAME]
    "#);
    insta::assert_snapshot!(told(&shop("colour = \"red\"\n")), @r#"
    unknown key `colour` in processes.worker
      at processes.worker.colour (forebay.toml:9:1)
      9 | colour = "red"
        | ^^^^^^
    hint: known here: command, health, instances, limits, secrets_env, stdout_block_ms, stop_timeout_ms
    "#);
}

#[test]
fn a_dependency_is_asked_in_one_way_and_its_slips_are_told() {
    let of = |keys: &str| told(&shop(&format!("[dependencies.db]\n{keys}")));
    insta::assert_snapshot!(of("tpc = \"db.internal:5432\"\n"), @r#"
    unknown key `tpc` in dependencies.db
      at dependencies.db.tpc (forebay.toml:10:1)
      10 | tpc = "db.internal:5432"
         | ^^^
    hint: did you mean `tcp`?
    "#);
    let says = |keys: &str, words: &[&str]| {
        let told = of(keys);
        words.iter().for_each(|word| assert!(told.contains(word), "`{word}` is missing in\n{told}"));
    };
    says(
        "interval_ms = 1000\n",
        &["`db` needs one of `tcp`, `http` and `command`, and has 0", "tcp = \"db.internal:5432\""],
    );
    says("tcp = \"db:1\"\nhttp = \"http://db/\"\n", &["and has 2"]);
    says("tcp = \"db.internal\"\n", &["dependencies.db.tcp (forebay.toml:10", "HOST:PORT, such as db.internal:5432"]);
    says("http = \"https://db.internal/\"\n", &["http://HOST[:PORT]/PATH"]);
    says("command = \"./lag\"\nsecrets_env = [\"URL\"]\n", &["`URL` is not among the application's `secrets`"]);
    says("tcp = \"db:1\"\ninterval_ms = \"5s\"\n", &["expected a whole number from 100 to 3600000"]);
}

#[test]
fn a_missing_key_is_named_with_what_it_should_be() {
    insta::assert_snapshot!(told("schema = 1\n[processes.web]\ninstances = 1\n"), @r#"
    `app` is missing: expected 1 to 40 of a-z, 0-9 and '-', beginning with a letter and not ending in '-'
      at app (forebay.toml)

    `command` is missing in processes.web: expected a text in quotes
      at processes.web.command (forebay.toml:2:1)
      2 | [processes.web]
        | ^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told(""), @r#"
    `schema` is missing
      at schema (forebay.toml)
    hint: write `schema = 1` as the first line
    "#);
}

#[test]
fn a_newer_file_is_told_as_newer_and_not_by_its_first_strange_key() {
    insta::assert_snapshot!(told("schema = 2\nnovelty = true\n"), @r#"
    the file is of schema 2; this Forebay 0.1.0 reads schema 1
      at schema (forebay.toml:1:10)
      1 | schema = 2
        |          ^
    hint: use a newer Forebay that reads schema 2, or write the file for schema 1
    "#);
    assert_eq!(refused("schema = 2").code(), "manifest_schema_newer");
    insta::assert_snapshot!(told("schema = \"1\"\n"), @r#"
    `schema` is not a number: expected 1
      at schema (forebay.toml:1:10)
      1 | schema = "1"
        |          ^^^
    "#);
    insta::assert_snapshot!(told("schema = 0\n"), @r#"
    there is no schema 0: expected 1
      at schema (forebay.toml:1:10)
      1 | schema = 0
        |          ^
    "#);
}

#[test]
fn a_value_of_the_wrong_type_is_told_how_to_write_it() {
    insta::assert_snapshot!(told(&shop("instances = \"2\"\nstop_timeout_ms = \"10s\"\n[env]\nRETRIES = 3\nDEBUG = true\n")), @r#"
    `instances` is of the wrong type, a text: expected a whole number from 0 to 100
      at processes.worker.instances (forebay.toml:9:13)
      9 | instances = "2"
        |             ^^^
    hint: write it without quotes: 2

    `stop_timeout_ms` is of the wrong type, a text: expected a whole number from 1 to 3600000
      at processes.worker.stop_timeout_ms (forebay.toml:10:19)
      10 | stop_timeout_ms = "10s"
         |                   ^^^^^
    hint: the number is in milliseconds: ten seconds are 10000

    `RETRIES` is of the wrong type, a whole number: expected a text in quotes
      at env.RETRIES (forebay.toml:12:11)
      12 | RETRIES = 3
         |           ^
    hint: write it in quotes: "3"

    `DEBUG` is of the wrong type, a boolean: expected a text in quotes
      at env.DEBUG (forebay.toml:13:9)
      13 | DEBUG = true
         |         ^^^^
    hint: write it in quotes: "true"
    "#);
    insta::assert_snapshot!(told(&shop("[routes]\nprocess = \"web\"\n")), @r#"
    `routes` is of the wrong type, a table: expected a list
      at routes (forebay.toml:9:1)
      9 | [routes]
        | ^^^^^^^^
    hint: write the header as [[routes]]
    "#);
    insta::assert_snapshot!(told("schema = 1\napp = \"shop\"\nsecrets = \"API_KEY\"\nprocesses = 3\n"), @r#"
    `secrets` is of the wrong type, a text: expected a list
      at secrets (forebay.toml:3:11)
      3 | secrets = "API_KEY"
        |           ^^^^^^^^^
    hint: write it as a list: ["API_KEY"]

    `processes` is of the wrong type, a whole number: expected a table
      at processes (forebay.toml:4:13)
      4 | processes = 3
        |             ^
    "#);
}

#[test]
fn a_number_out_of_range_is_told_the_range() {
    insta::assert_snapshot!(told(&shop("instances = 1000\nstop_timeout_ms = 0\n[processes.worker.health]\nfall = 0\n")), @r#"
    `instances` is 1000: expected a whole number from 0 to 100
      at processes.worker.instances (forebay.toml:9:13)
      9 | instances = 1000
        |             ^^^^

    `stop_timeout_ms` is 0: expected a whole number from 1 to 3600000
      at processes.worker.stop_timeout_ms (forebay.toml:10:19)
      10 | stop_timeout_ms = 0
         |                   ^

    `fall` is 0: expected a whole number from 1 to 100
      at processes.worker.health.fall (forebay.toml:12:8)
      12 | fall = 0
         |        ^
    "#);
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let text = shop(
        "[[routes]]\nprocess = \"wbe\"\nhost = \"Shop.example.com:80\"\npath_prefix = \"shop\"\n[queues.\"two words\"]\nattempts = 3\n",
    );
    insta::assert_snapshot!(told(&text), @r#"
    `host` is "Shop.example.com:80": expected a host name in lower case, without scheme, port and path, such as shop.example.com
      at routes[0].host (forebay.toml:11:8)
      11 | host = "Shop.example.com:80"
         |        ^^^^^^^^^^^^^^^^^^^^^

    `path_prefix` is "shop": expected a path beginning with '/', without spaces, '?', '#', '//' and '.' segments
      at routes[0].path_prefix (forebay.toml:12:15)
      12 | path_prefix = "shop"
         |               ^^^^^^

    `two words` is not a valid name here: expected 1 to 200 of A-Z, a-z, 0-9 and -+/;.$_(), not beginning with '-'
      at queues."two words" (forebay.toml:13:9)
      13 | [queues."two words"]
         |         ^^^^^^^^^^^

    unknown key `attempts` in queues."two words"
      at queues."two words".attempts (forebay.toml:14:1)
      14 | attempts = 3
         | ^^^^^^^^
    hint: did you mean `attempts_max`?
    "#);
}

#[test]
fn keys_at_odds_with_each_other_are_told() {
    let text = "schema = 1\napp = \"shop\"\nsecrets = [\"API_KEY\"]\n\n[env]\nPORT = \"80\"\nFOREBAY_APP = \"x\"\nAPI_KEY = \"y\"\n\n[processes.release]\ncommand = \"migrate\"\nsecrets_env = [\"API_KYE\"]\n\n[processes.web]\ncommand = \"  \"\n\n[[routes]]\nprocess = \"worker\"\npath_prefix = \"/a\"\n\n[[routes]]\nprocess = \"web\"\npath_prefix = \"/a/\"\n";
    insta::assert_snapshot!(told(text), @r#"
    `PORT` is set by Forebay itself
      at env.PORT (forebay.toml:6:1)
      6 | PORT = "80"
        | ^^^^
    hint: take another name

    `FOREBAY_APP` is set by Forebay itself
      at env.FOREBAY_APP (forebay.toml:7:1)
      7 | FOREBAY_APP = "x"
        | ^^^^^^^^^^^
    hint: take another name

    `API_KEY` is both a variable and a secret
      at env.API_KEY (forebay.toml:8:1)
      8 | API_KEY = "y"
        | ^^^^^^^
    hint: keep it as a secret only

    the process name `release` is reserved
      at processes.release (forebay.toml:10:12)
      10 | [processes.release]
         |            ^^^^^^^
    hint: this Forebay runs no release command; run it by hand or at the start of another process, and remove this one

    `API_KYE` is not among the application's `secrets`
      at processes.release.secrets_env[0] (forebay.toml:12:16)
      12 | secrets_env = ["API_KYE"]
         |                ^^^^^^^^^
    hint: did you mean `API_KEY`?

    `command` is empty: expected a command line, such as "python3 web.py"
      at processes.web.command (forebay.toml:15:11)
      15 | command = "  "
         |           ^^^^

    there is no process `worker`
      at routes[0].process (forebay.toml:18:11)
      18 | process = "worker"
         |           ^^^^^^^^
    hint: known processes: release, web

    the route is the same as routes[0]
      at routes[1] (forebay.toml:21:1)
      21 | [[routes]]
         | ^^^^^^^^^^
    "#);
}

#[test]
fn text_that_is_not_toml_is_shown_where_it_stops_being_so() {
    insta::assert_snapshot!(told("schema = 1\napp = shop\n\n[processes.web\ncommand = \"x\"\n"), @r#"
    this is not valid TOML: string values must be quoted, expected literal string
      at forebay.toml:2:7
      2 | app = shop
        |       ^^^^

    this is not valid TOML: unclosed table, expected `]`
      at forebay.toml:4:15
      4 | [processes.web
        |               ^
    "#);
    insta::assert_snapshot!(told("schema = 1\napp = \"a\"\napp = \"b\"\n"), @r#"
    this is not valid TOML: duplicate key
      at forebay.toml:3:1
      3 | app = "b"
        | ^^^
    "#);
}

#[test]
fn many_problems_are_counted_after_the_twentieth() {
    let many: String = (0..30).map(|n| format!("odd_{n} = 1\n")).collect();
    let error = refused(&format!("schema = 1\napp = \"shop\"\n{many}"));
    assert_eq!((error.problems.len(), error.more), (20, 11));
    assert!(error.to_string().ends_with("\n\nand 11 more"));
}

/// A line added to a good manifest, the key that is at fault, a piece of the sentence.
const TABLE: &[(&str, &str, &str)] = &[
    ("instances = -1", "processes.worker.instances", "expected a whole number from 0 to 100"),
    ("instances = 1.5", "processes.worker.instances", "a number with a fraction"),
    ("command = \"again\"", "", "duplicate key"),
    ("[processes.Web]\ncommand = \"x\"", "processes.Web", "not a valid name"),
    ("[processes.a_b]\ncommand = \"x\"", "processes.a_b", "beginning with a letter"),
    ("[processes.forebay]\ncommand = \"x\"", "processes.forebay", "reserved"),
    ("[processes.x]\ncommand = \"\"", "processes.x.command", "expected 1 to 16384 characters"),
    ("[processes.x]\ncommand = \"a\\nb\"", "processes.x.command", "line break"),
    ("[processes.x]\ncommand = [\"a\"]", "processes.x.command", "a text in quotes"),
    ("[processes.x]", "processes.x.command", "`command` is missing in processes.x"),
    ("stdout_block_ms = 600000", "processes.worker.stdout_block_ms", "from 0 to 60000"),
    ("[processes.worker.limits]\nmemory_bytes_max = 1024", "processes.worker.limits.memory_bytes_max", "4194304"),
    ("[processes.worker.limits]\nmemory_bytes_max = \"1GB\"", "processes.worker.limits.memory_bytes_max", "a text"),
    ("[processes.worker.health]\npath = \"up\"", "processes.worker.health.path", "beginning with '/'"),
    ("[processes.worker.health]\ninterval_ms = 0", "processes.worker.health.interval_ms", "from 10 to 3600000"),
    ("[[routes]]", "routes[0].process", "`process` is missing in routes[0]"),
    ("[[routes]]\nprocess = \"Web\"", "routes[0].process", "expected 1 to 40 of a-z"),
    ("[[routes]]\nprocess = \"web\"\nhost = \"*.example.com\"", "routes[0].host", "a host name in lower case"),
    ("[[routes]]\nprocess = \"web\"\nhost = \"\"", "routes[0].host", "a host name in lower case"),
    ("[[routes]]\nprocess = \"web\"\npath_prefix = \"\"", "routes[0].path_prefix", "beginning with '/'"),
    ("[[routes]]\nprocess = \"web\"\npath_prefix = \"/a/../b\"", "routes[0].path_prefix", "'.' segments"),
    ("[[routes]]\nprocess = \"web\"\ndeadline_ms = 0", "routes[0].deadline_ms", "from 1 to 3600000"),
    ("[[routes]]\nprocess = \"web\"\nretries_max = 200", "routes[0].retries_max", "from 0 to 10"),
    ("[[routes]]\nprocess = \"web\"\ndeadline = 5", "routes[0].deadline", "unknown key"),
    ("[queues.-orders]\n", "queues.-orders", "not beginning with '-'"),
    ("[queues.orders]\njobs_max = 0", "queues.orders.jobs_max", "1 or more"),
    ("[env]\n1A = \"x\"", "env.1A", "not beginning with a digit"),
    ("[env]\n\"A B\" = \"x\"", "env.\"A B\"", "A-Z, a-z, 0-9"),
    ("[env]\nA = \"a\\u0000b\"", "env.A", "NUL"),
    ("secrets_env = [\"KEY\"]", "processes.worker.secrets_env[0]", "not among the application's `secrets`"),
    ("[environments.staging]\n", "environments", "unknown key"),
];

#[test]
fn each_slip_is_told_by_its_key() {
    for (line, key, piece) in TABLE {
        let error = refused(&shop(&format!("{line}\n")));
        let problem = &error.problems[0];
        assert_eq!(error.problems.len(), 1, "{line}\n{error}");
        assert_eq!(problem.key, *key, "{line}\n{error}");
        assert!(problem.sentence().contains(piece), "{line}\n{error}");
    }
}

#[test]
fn counts_are_bounded() {
    let processes: String = (0..40).map(|n| format!("[processes.p{n}]\ncommand = \"x\"\n")).collect();
    assert!(told(&shop(&processes)).contains("`processes` has 42 entries: expected 0 to 32"));
    let env: String = (0..20).map(|n| format!("A{n} = \"{}\"\n", "x".repeat(4_000))).collect();
    assert!(told(&shop(&format!("[env]\n{env}"))).contains("the variables have 80"));
    let secrets: Vec<String> = (0..65).map(|n| format!("\"S{n}\"")).collect();
    let text = format!("secrets = [{}]\n{}", secrets.join(","), shop(""));
    assert!(told(&text).contains("`secrets` has 65 entries: expected 0 to 64"));
    assert!(told(&format!("secrets = [\"A\", \"a\", \"A\"]\n{}", shop(""))).contains("`secrets` has an item twice"));
    assert_eq!(refused(&" ".repeat((1 << 20) + 1)).code(), "manifest_too_large");
}
