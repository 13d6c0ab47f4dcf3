//! A Procfile alone is enough for an application that needs no more.

use std::fs;

use config::{Loaded, Manifest, Origin};

fn load(procfile: &str) -> Result<Loaded, config::ConfigError> {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("My Shop");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("Procfile"), procfile).unwrap();
    Manifest::load(&folder)
}

#[test]
fn a_procfile_alone_is_an_application() {
    let loaded = load("# what runs\nweb: python3 web.py --port $PORT\n\nworker : python3 worker.py\r\n").unwrap();
    assert_eq!(loaded.origin, Origin::Procfile);
    assert_eq!(loaded.origin.to_string(), "Procfile (there is no forebay.toml)");
    assert_eq!(loaded.notes, ["the application is named `my-shop` after its folder"]);
    let manifest = loaded.manifest;
    assert_eq!(manifest.app.as_str(), "my-shop");
    let commands: Vec<_> =
        manifest.processes.iter().map(|(name, process)| (name.as_str(), process.command.as_str())).collect();
    assert_eq!(commands, [("web", "python3 web.py --port $PORT"), ("worker", "python3 worker.py")]);
    assert_eq!((manifest.routes.len(), manifest.routes[0].path_prefix.as_str()), (1, "/"));
    assert_eq!(manifest.routes[0].process.as_str(), "web");
    assert_eq!(manifest.processes["web"].health, None, "a routed process without a check is checked by a connect");
}

#[test]
fn a_procfile_means_what_the_same_manifest_means() {
    let of_procfile = load("web: python3 web.py\n").unwrap().manifest;
    let text =
        "schema = 1\napp = \"my-shop\"\n[processes.web]\ncommand = \"python3 web.py\"\n[[routes]]\nprocess = \"web\"\n";
    assert_eq!(of_procfile, Manifest::parse(text).unwrap());
}

#[test]
fn without_a_web_process_nothing_is_routed_and_that_is_said() {
    let loaded = load("worker: python3 worker.py\n").unwrap();
    assert!(loaded.manifest.routes.is_empty());
    assert_eq!(loaded.notes[1], "there is no process `web`, so no requests are routed to this application");
}

/// A Procfile, and a piece of what is told about it.
const TABLE: &[(&str, &str)] = &[
    ("", "there is no process"),
    ("# nothing\n", "there is no process"),
    ("web python3 web.py\n", "expected `name: command`"),
    ("Web: x\n", "`Web` is not a valid process name"),
    ("my_worker: x\n", "`my_worker` is not a valid process name"),
    ("web:\n", "`command` is empty"),
    ("web: a\nweb: b\n", "the process `web` is there twice"),
    ("release: migrate\nweb: a\n", "runs no release command"),
];

#[test]
fn each_slip_in_a_procfile_is_told() {
    for (text, piece) in TABLE {
        let error = load(text).unwrap_err();
        assert!(error.to_string().contains(piece), "{text:?}\n{error}");
    }
}

#[test]
fn a_slip_is_shown_in_its_line() {
    insta::assert_snapshot!(load("# mine\nweb: a\nWorker: b\nrelease\n").unwrap_err(), @r#"
    `Worker` is not a valid process name: use 1 to 40 of a-z, 0-9 and '-', beginning with a letter and not ending in '-'
      at Procfile:3:1
      3 | Worker: b
        | ^^^^^^^^^

    the line names no process: expected `name: command`, such as `web: python3 web.py`
      at Procfile:4:1
      4 | release
        | ^^^^^^^
    "#);
    insta::assert_snapshot!(load("web: a\nrelease: rake db:migrate\n").unwrap_err(), @r#"
    the process name `release` is reserved
      at processes.release (Procfile:2:1)
      2 | release: rake db:migrate
        | ^^^^^^^^^^^^^^^^^^^^^^^^
    hint: this Forebay runs no release command; run it by hand or at the start of another process, and remove this one
    "#);
}
