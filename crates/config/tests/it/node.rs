//! A node's configuration: defaults < node.toml < FOREBAY_* < flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::NodeConfig;
use config::node::{Flags, Inputs, Origin};
use net::listen::ListenAddr;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let home = [("HOME", "/home/ann")];
    home.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn shown(addrs: &[ListenAddr]) -> Vec<String> {
    addrs.iter().map(ToString::to_string).collect()
}

#[test]
fn without_anything_a_node_listens_on_loopback_and_keeps_things_in_the_home_folder() {
    let node = NodeConfig::resolve(&Inputs { environment: environment(&[]), ..Default::default() }).unwrap();
    assert_eq!(shown(&node.router.listen), ["127.0.0.1:8080"]);
    assert_eq!(shown(&node.queue.listen), ["127.0.0.1:11300"]);
    assert_eq!(shown(&node.admin.listen), ["127.0.0.1:7070"]);
    assert_eq!(node.data, PathBuf::from("/home/ann/.local/state/forebay"));
    assert_eq!(node.key_file, PathBuf::from("/home/ann/.config/forebay/key"));
    assert_eq!(node.origins.http.at("router.listen"), "router.listen (default)");
}

#[test]
fn the_usual_places_follow_root_and_xdg() {
    let root = NodeConfig::resolve(&Inputs { root: true, ..Default::default() }).unwrap();
    assert_eq!((root.data, root.key_file), ("/var/lib/forebay".into(), "/etc/forebay/key".into()));
    let environment = environment(&[("XDG_STATE_HOME", "/state"), ("XDG_CONFIG_HOME", "relative/is/ignored")]);
    let node = NodeConfig::resolve(&Inputs { environment, ..Default::default() }).unwrap();
    assert_eq!((node.data, node.key_file), ("/state/forebay".into(), "/home/ann/.config/forebay/key".into()));
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let file = "schema = 1\ndata = \"/of/file\"\n\n[router]\nlisten = [\"127.0.0.1:1\"]\n[queue]\nlisten = [\"127.0.0.1:2\"]\n[admin]\nlisten = [\"127.0.0.1:3\"]\n";
    let node = NodeConfig::resolve(&Inputs {
        file: Some(("node.toml", file)),
        environment: environment(&[
            ("FOREBAY_HTTP", "127.0.0.1:11"),
            ("FOREBAY_QUEUE", "127.0.0.1:12"),
            ("FOREBAY_DATA", "/of/variable"),
        ]),
        flags: Flags { http: Some("127.0.0.1:21, [::1]:21".into()), ..Default::default() },
        ..Default::default()
    })
    .unwrap();
    assert_eq!(shown(&node.router.listen), ["127.0.0.1:21", "[::1]:21"]);
    assert_eq!(shown(&node.queue.listen), ["127.0.0.1:12"]);
    assert_eq!(shown(&node.admin.listen), ["127.0.0.1:3"]);
    assert_eq!(node.data, PathBuf::from("/of/variable"));
    let origins = node.origins;
    assert_eq!(origins.http.at("router.listen"), "router.listen (--http)");
    assert_eq!(origins.queue.at("queue.listen"), "queue.listen (FOREBAY_QUEUE)");
    assert_eq!(origins.admin.at("admin.listen"), "admin.listen (node.toml:9)");
    assert_eq!(origins.admin, Origin::File { name: "node.toml".into(), line: 9 });
    assert_eq!(origins.data, Origin::Variable("FOREBAY_DATA"));
}

#[test]
fn the_planes_settings_reach_the_planes() {
    let file = "schema = 1\n[router]\nworkers = 3\n[queue]\njobs_max = 1000\n[queue.tube]\nattempts_max = 7\n[logs]\nretention_bytes = 1_048_576\n[deploy]\nport_range = [30000, 30099]\n[admin]\nlisten = []\n";
    let inputs = Inputs { file: Some(("node.toml", file)), root: true, ..Default::default() };
    let node = NodeConfig::resolve(&inputs).unwrap();
    assert_eq!((node.router.workers, node.queue.jobs_max, node.queue.tube.attempts_max), (3, 1_000, 7));
    assert_eq!((node.logs.retention_bytes, node.deploy.port_range), (1 << 20, (30_000, 30_099)));
    assert_eq!(shown(&node.admin.listen), [""; 0], "an empty list leaves only the unix socket");
    assert_eq!(shown(&node.router.listen), ["127.0.0.1:8080"]);
}

#[test]
fn a_file_is_read_from_its_usual_place_or_from_where_a_flag_says() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join(".config/forebay");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("node.toml"), "schema = 1\n[router]\nworkers = 5\n").unwrap();
    std::fs::write(folder.path().join("other.toml"), "schema = 1\n[router]\nworkers = 6\n").unwrap();
    let environment: BTreeMap<_, _> = [("HOME".to_owned(), folder.path().display().to_string())].into();
    let usual = NodeConfig::load(environment.clone(), Flags::default(), false).unwrap();
    assert_eq!(usual.router.workers, 5);
    let other = Flags { config: Some(folder.path().join("other.toml")), ..Default::default() };
    assert_eq!(NodeConfig::load(environment.clone(), other, false).unwrap().router.workers, 6);
    let absent = Flags { config: Some(folder.path().join("absent.toml")), ..Default::default() };
    assert_eq!(NodeConfig::load(environment, absent, false).unwrap_err().code(), "node_config_missing");
}

#[test]
fn the_memory_budgets_are_shown_with_what_sets_them() {
    let node = NodeConfig::resolve(&Inputs { root: true, ..Default::default() }).unwrap();
    insta::assert_snapshot!(node.memory, @r#"
    1250.0 MiB  queue.connections_max x connection_output_bytes_max
     768.0 MiB  queue.index_bytes_max
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
    3346.5 MiB  in all; memory_bytes_max is 4096.0 MiB
    "#);
}

#[test]
fn a_variable_that_is_almost_ours_is_noted() {
    let environment = environment(&[("FOREBAY_HTPP", "127.0.0.1:1"), ("FOREBAY_QUEUE_URL", "beanstalkd://x")]);
    let node = NodeConfig::resolve(&Inputs { environment, ..Default::default() }).unwrap();
    assert_eq!(node.notes, ["the variable FOREBAY_HTPP is not read; did you mean FOREBAY_HTTP?"]);
}

#[test]
fn a_relative_data_folder_of_a_flag_starts_from_the_working_folder_and_an_empty_variable_says_nothing() {
    let flags = Flags { data: Some("state".into()), ..Default::default() };
    let environment = environment(&[("FOREBAY_DATA", "/of/variable"), ("FOREBAY_HTTP", "")]);
    let working_folder = Some("/home/ann/shop".into());
    let node = NodeConfig::resolve(&Inputs { flags, environment, working_folder, ..Default::default() }).unwrap();
    assert_eq!(node.data, PathBuf::from("/home/ann/shop/state"));
    assert_eq!(node.origins.http, Origin::Default);
}
