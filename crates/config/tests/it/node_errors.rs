//! What a user is told about a node's configuration.

use config::node::{Flags, Inputs};
use config::{ConfigError, NodeConfig};

fn of_file(text: &str) -> ConfigError {
    NodeConfig::resolve(&Inputs { file: Some(("/etc/forebay/node.toml", text)), root: true, ..Default::default() })
        .unwrap_err()
}

#[test]
fn slips_in_the_file_are_told_by_line() {
    insta::assert_snapshot!(of_file("schema = 1\nmemory = 1\n[router]\nlisten = \"0.0.0.0:80\"\nworker = 2\n[queues]\n"), @r#"
    unknown key `memory`
      at memory (/etc/forebay/node.toml:2:1)
      2 | memory = 1
        | ^^^^^^
    hint: did you mean `memory_bytes_max`?

    `listen` is of the wrong type, a text: expected a list
      at router.listen (/etc/forebay/node.toml:4:10)
      4 | listen = "0.0.0.0:80"
        |          ^^^^^^^^^^^^
    hint: write it as a list: ["0.0.0.0:80"]

    unknown key `worker` in router
      at router.worker (/etc/forebay/node.toml:5:1)
      5 | worker = 2
        | ^^^^^^
    hint: did you mean `workers`?

    unknown key `queues`
      at queues (/etc/forebay/node.toml:6:2)
      6 | [queues]
        |  ^^^^^^
    hint: did you mean `queue`?
    "#);
    insta::assert_snapshot!(of_file("schema = 1\n[router]\nlisten = [\"8080\"]\ntrusted_peers = [\"10.0.0.0/40\"]\nidle_timeout_ms = 0\n"), @r#"
    `listen` is "8080": expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080
      at router.listen[0] (/etc/forebay/node.toml:3:11)
      3 | listen = ["8080"]
        |           ^^^^^^

    `trusted_peers` is "10.0.0.0/40": expected an address or a network, such as 10.0.0.7 or 10.0.0.0/8
      at router.trusted_peers[0] (/etc/forebay/node.toml:4:18)
      4 | trusted_peers = ["10.0.0.0/40"]
        |                  ^^^^^^^^^^^^^

    `idle_timeout_ms` is 0: expected a whole number from 1 to 3600000
      at router.idle_timeout_ms (/etc/forebay/node.toml:5:19)
      5 | idle_timeout_ms = 0
        |                   ^
    "#);
}

#[test]
fn settings_at_odds_with_each_other_are_told() {
    insta::assert_snapshot!(of_file("schema = 1\n[queue]\nlisten = []\n[deploy]\nport_range = [9, 8]\n"), @r#"
    `listen` is an empty list: expected at least one address
      at queue.listen (/etc/forebay/node.toml:3:10)
      3 | listen = []
        |          ^^
    hint: leave the key away for the default

    `port_range` is 9 to 8: expected the first port, then the last
      at deploy.port_range (/etc/forebay/node.toml:5:14)
      5 | port_range = [9, 8]
        |              ^^^^^^
    "#);
    insta::assert_snapshot!(of_file("schema = 1\n[router]\nlisten = [\"127.0.0.1:80\"]\n[admin]\nlisten = [\"127.0.0.1:80\"]\n"), @r#"
    127.0.0.1:80 is already the address of router.listen (/etc/forebay/node.toml:3)
      at admin.listen (/etc/forebay/node.toml:5)
    "#);
}

#[test]
fn slips_in_flags_and_variables_are_told_by_their_names() {
    let flags = Flags { http: Some("127.0.0.1:80,8081".into()), data: Some("relative".into()), ..Default::default() };
    let environment = [("FOREBAY_ADMIN".to_owned(), "::1:80".to_owned())].into();
    let error = NodeConfig::resolve(&Inputs { flags, environment, root: true, ..Default::default() }).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    the path `relative` is relative: expected an absolute one
      at data (--data)

    `8081` is not an address to listen on: write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080
      at router.listen (--http)
    hint: write HOST:PORT, several separated by commas

    `::1:80` is not an address to listen on: write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080
      at admin.listen (FOREBAY_ADMIN)
    hint: write HOST:PORT, several separated by commas
    "#);
}

#[test]
fn budgets_beyond_the_limit_are_told_with_the_largest_first() {
    let error = of_file("schema = 1\nmemory_bytes_max = 268_435_456\n[queue]\nindex_bytes_max = 16_000_000\n");
    assert_eq!(error.code(), "node_config_memory_exceeded");
    insta::assert_snapshot!(error, @r#"
    the memory budgets add up to 2719728640 bytes, 268435456 is the limit
      at memory_bytes_max (/etc/forebay/node.toml:2:20)
      2 | memory_bytes_max = 268_435_456
        |                    ^^^^^^^^^^^
    hint: raise memory_bytes_max or lower one of these:
      1250.0 MiB  queue.connections_max x connection_output_bytes_max
       390.6 MiB  router.connections_max x (header_bytes_max + target_bytes_max)
       256.0 MiB  queue.volatile_bytes_max
       125.0 MiB  router.http2.connections_max x 65536
        64.0 MiB  router.compressions_max x 1048576
        64.0 MiB  queue.input_bytes_max
        64.0 MiB  queue.http_input_bytes_max
        62.5 MiB  router.http2.requests_max x header_bytes_max
        48.0 MiB  code, stacks, control state
        39.1 MiB  queue.connections_max x 4096
        32.0 MiB  router.fragments_bytes_max
        32.0 MiB  router.kept_memory_bytes_max
        32.0 MiB  router.cache_bytes_max
        31.2 MiB  queue.http_connections_max x 32768
        24.4 MiB  router.answers_max x 256
        16.0 MiB  router.cache_arriving_bytes_max
        16.0 MiB  queue.body_cache_bytes_max
        16.0 MiB  logs.pending_bytes_max x 2 (waiting, being written)
        15.6 MiB  logs.tails_max x tail_records_max x 256
        15.3 MiB  queue.index_bytes_max
      2593.7 MiB  in all; memory_bytes_max is 256.0 MiB
    "#);
}

#[test]
fn tls_needs_certificates_authorities_and_whole_paths() {
    let error = of_file(
        "schema = 1\n[router.tls]\nlisten = [\"127.0.0.1:443\"]\nclient_certificate = \"required\"\nversion_min = \"1.3\"\n",
    );
    insta::assert_snapshot!(error, @r#"
    there is no certificate to serve HTTPS with
      at router.tls.listen (/etc/forebay/node.toml:3:1)
      3 | listen = ["127.0.0.1:443"]
        | ^^^^^^
    hint: add certificates = [{ cert = "/etc/ssl/site.pem", key = "/etc/ssl/site.key" }]

    certificates of clients cannot be checked
      at router.tls.client_certificate (/etc/forebay/node.toml:4:1)
      4 | client_certificate = "required"
        | ^^^^^^^^^^^^^^^^^^
    hint: name the file of their authorities with `client_ca`
    "#);
    let error = of_file(
        "schema = 1\n[router.tls]\nlisten = [\"127.0.0.1:443\"]\n[router.tls.acme]\nhosts = [\"*.shop.example\", \"10.0.0.1\"]\n\
         folder = \"acme\"\n",
    );
    insta::assert_snapshot!(error, @r#"
    an authority gives certificates to those who agree to its terms
      at router.tls.acme.terms_agreed (/etc/forebay/node.toml:4:1)
      4 | [router.tls.acme]
        | ^^^^^^^^^^^^^^^^^
    hint: read them, and write terms_agreed = true

    `*.shop.example` stands for many hosts, and neither HTTP-01 nor TLS-ALPN-01 can show that they are yours
      at router.tls.acme.hosts[0] (/etc/forebay/node.toml:5:10)
      5 | hosts = ["*.shop.example", "10.0.0.1"]
        |          ^^^^^^^^^^^^^^^^
    hint: list each host by its name

    `10.0.0.1` is an address; certificates are for hosts with a name
      at router.tls.acme.hosts[1] (/etc/forebay/node.toml:5:28)
      5 | hosts = ["*.shop.example", "10.0.0.1"]
        |                            ^^^^^^^^^^
    hint: such as shop.example, in lower case; others in their ASCII form (xn--)

    `acme` is relative: expected an absolute path
      at router.tls.acme.folder (/etc/forebay/node.toml:6:10)
      6 | folder = "acme"
        |          ^^^^^^
    "#);
    let error = of_file(
        "schema = 1\n[router.tls]\ncertificates = [{ cert = \"a.pem\", key = \"/a.key\" }]\nversion_min = \"1.1\"\n",
    );
    assert!(error.to_string().contains("router.tls.version_min"), "{error}");
    let error = of_file("schema = 1\n[router.tls]\ncertificates = [{ cert = \"a.pem\", key = \"/a.key\" }]\n");
    insta::assert_snapshot!(error, @r#"
    `a.pem` is relative: expected an absolute path
      at router.tls.certificates[0].cert (/etc/forebay/node.toml:3:26)
      3 | certificates = [{ cert = "a.pem", key = "/a.key" }]
        |                          ^^^^^^^
    "#);
}

#[test]
fn without_a_home_there_is_no_default_folder() {
    let error = NodeConfig::resolve(&Inputs::default()).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    there is no default for `data`, because HOME is not set
      at data (environment)
    hint: set HOME, or name the folder with --data and key_file in node.toml

    there is no default for `key_file`, because HOME is not set
      at key_file (environment)
    hint: set HOME, or name the folder with --data and key_file in node.toml
    "#);
}

#[test]
fn the_key_for_secrets_stays_out_of_the_data_folder_whoever_names_it() {
    let error = of_file("schema = 1\nkey_file = \"/srv/forebay/key\"\ndata = \"/srv/forebay\"\n");
    insta::assert_snapshot!(error, @r#"
    the key for secrets, /srv/forebay/key, lies inside the data folder
      at key_file (/etc/forebay/node.toml:2)
    hint: a copy of the data folder would hold the key to its own secrets; keep it elsewhere
    "#);
    let flags = Flags { data: Some("/etc/forebay".into()), ..Default::default() };
    let error = NodeConfig::resolve(&Inputs { flags, root: true, ..Default::default() }).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    the key for secrets, /etc/forebay/key, lies inside the data folder
      at key_file (default)
    hint: a copy of the data folder would hold the key to its own secrets; keep it elsewhere
    "#);
}
