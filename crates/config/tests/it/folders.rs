//! Which file of a folder decides, and what is said where there is none.

use std::fs;
use std::path::Path;

use config::{Manifest, Origin};
use stdx::ids::AppName;

use crate::support::shop;

#[test]
fn the_manifest_wins_over_a_procfile_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Procfile"), "this is : not even\nread").unwrap();
    fs::write(folder.path().join("forebay.toml"), shop("")).unwrap();
    let loaded = Manifest::load(folder.path()).unwrap();
    assert_eq!(loaded.origin, Origin::Manifest);
    assert_eq!(loaded.notes, ["the Procfile is not read, because there is a forebay.toml"]);
}

#[test]
fn a_folder_without_either_file_is_told_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let error = Manifest::load(folder.path()).unwrap_err();
    assert_eq!(error.code(), "manifest_missing");
    let told = error.to_string().replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(told, @r#"
    there is no forebay.toml and no Procfile in FOLDER
      at FOLDER
    hint: write a forebay.toml:

        schema = 1
        app = "shop"

        [processes.web]
        command = "python3 web.py"

        [[routes]]
        process = "web"

    or a Procfile:

        web: python3 web.py
    "#);
    let hint = error.problems[0].hint.clone().unwrap();
    let example: String = hint
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .take_while(|l| !l.starts_with("web:"))
        .map(|l| format!("{l}\n"))
        .collect();
    Manifest::parse(&example).expect("the example in the hint is a good manifest");
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let error = Manifest::load(Path::new("/nowhere/at/all")).unwrap_err();
    assert_eq!(error.to_string(), "there is no folder /nowhere/at/all\n  at /nowhere/at/all");
}

#[test]
fn bytes_that_are_no_text_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("forebay.toml"), b"schema = 1\n\xff\xfe").unwrap();
    let error = Manifest::load(folder.path()).unwrap_err();
    assert_eq!(error.code(), "manifest_unreadable");
    assert_eq!(error.problems[0].message, "cannot read forebay.toml: it is not UTF-8");
}

#[test]
fn a_folder_whose_name_says_nothing_is_read_for_an_application() {
    let folder = tempfile::tempdir().unwrap();
    let app: AppName = "shop".parse().unwrap();
    fs::write(folder.path().join("Procfile"), "web: x\n").unwrap();
    let loaded = Manifest::load_as(folder.path(), Some(&app)).unwrap();
    assert_eq!((loaded.manifest.app, loaded.notes), (app.clone(), vec![]));
    fs::write(folder.path().join("forebay.toml"), shop("").replace("\"shop\"", "\"other\"")).unwrap();
    let error = Manifest::load_as(folder.path(), Some(&app)).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    the manifest is of the application `other`: expected `shop`
      at app (forebay.toml:2:7)
      2 | app = "other"
        |       ^^^^^^^
    "#);
}
