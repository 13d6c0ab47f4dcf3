//! The control store as its users see it: what is on disk after a call, what a key that is lost does, who is refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use state::instances::{Desired, Known, NewInstance};
use state::releases::{Content, ReleaseState};
use state::{Sensitive, StateError, Store};
use stdx::clock::Wall;
use stdx::ids::{AppName, EnvName, ProcessName, ReleaseNo, Scope};

struct Rig {
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        Rig { dir: tempfile::tempdir().unwrap() }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("config/key")
    }

    fn try_open(&self) -> Result<Store, StateError> {
        Store::open(&self.folder(), &self.key())
    }

    /// Opens the store; one that was just dropped may need a moment to let go of its folder.
    fn open(&self) -> Store {
        loop {
            match self.try_open() {
                Err(StateError::Locked(_)) => std::thread::yield_now(),
                opened => return opened.unwrap(),
            }
        }
    }
}

fn shop() -> Scope {
    Scope::production(AppName::new("shop").unwrap())
}

fn staging() -> Scope {
    Scope { env: EnvName::new("staging").unwrap(), ..shop() }
}

fn content(secrets: &[(&str, u32)]) -> Content {
    Content {
        digest: "d".repeat(64),
        manifest_schema: 1,
        manifest: "{}".into(),
        config: BTreeMap::from([("COLOR".into(), "green".into())]),
        secrets: secrets.iter().map(|(key, version)| (key.to_string(), *version)).collect(),
    }
}

async fn release(store: &Store, scope: Scope, secrets: &[(&str, u32)]) -> ReleaseNo {
    store.app_put(scope.clone(), None, Wall(1)).await.unwrap();
    store.release_create(scope, "deploy".into(), None, content(secrets), Wall(5)).await.unwrap().no
}

fn value(text: &str) -> Sensitive {
    Sensitive::new(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_release_has_its_number_for_good_and_one_serves() {
    let rig = Rig::new();
    let store = rig.open();
    let first = release(&store, shop(), &[]).await;
    let second = release(&store, shop(), &[]).await;
    assert_eq!((first, second), (ReleaseNo(1), ReleaseNo(2)));
    assert_eq!(release(&store, staging(), &[]).await, ReleaseNo(1), "each environment counts by itself");
    store.release_activate(shop(), first).await.unwrap();
    store.release_activate(shop(), second).await.unwrap();
    drop(store);

    let store = rig.open();
    let states: Vec<_> = store.releases(shop()).await.unwrap().iter().map(|r| (r.no.0, r.state)).collect();
    assert_eq!(states, [(2, ReleaseState::Serving), (1, ReleaseState::Retired)]);
    assert_eq!(store.app(shop()).await.unwrap().unwrap().current, Some(second));
    assert_eq!(store.release(shop(), second).await.unwrap().unwrap().content, content(&[]));
    store.release_forget(shop(), first).await.unwrap();
    store.release_forget(shop(), second).await.unwrap();
    assert_eq!(store.releases(shop()).await.unwrap().len(), 1, "the serving one cannot be forgotten");
    assert_eq!(release(&store, shop(), &[]).await, ReleaseNo(3), "a number is never given twice");
}

#[tokio::test]
async fn an_instance_is_on_disk_before_it_is_started() {
    let rig = Rig::new();
    let store = rig.open();
    let no = release(&store, shop(), &[]).await;
    let new = || NewInstance {
        scope: shop(),
        process: ProcessName::new("web").unwrap(),
        release: no,
        port: Some(20_000),
        uid: Some(60_000),
        sockets: "/run/forebay".into(),
        restarts: 2,
        started: Wall(9),
    };
    let one = store.instance_create(new()).await.unwrap();
    assert_eq!((one.id.to_string().as_str(), one.socket.to_str().unwrap()), ("web.1", "/run/forebay/1.sock"));
    drop(store);

    let store = rig.open();
    assert_eq!(store.instances().await.unwrap(), *std::slice::from_ref(&one));
    store.instance_started(1, "{\"pid\":7}".into()).await.unwrap();
    store.instance_desire(1, Desired::Stop).await.unwrap();
    store.instance_health(1, Known::Unhealthy).await.unwrap();
    let found = store.instances().await.unwrap().remove(0);
    assert_eq!((found.ticket.as_deref(), found.desired), (Some("{\"pid\":7}"), Desired::Stop));
    assert_eq!(found.health, Known::Unhealthy);
    assert!(store.release_forget(shop(), no).await.is_err(), "a release with an instance stays");
    store.instance_gone(1).await.unwrap();
    assert_eq!(store.instance_create(new()).await.unwrap().id.serial, 2, "a serial is never given twice");
}

#[tokio::test]
async fn a_secret_keeps_the_versions_that_releases_have() {
    let rig = Rig::new();
    let store = rig.open();
    assert_eq!(store.secret_put(shop(), "API_KEY".into(), value("one"), Wall(1)).await.unwrap(), 1);
    let no = release(&store, shop(), &[("API_KEY", 1)]).await;
    for (version, text) in [(2, "two"), (3, "three")] {
        assert_eq!(store.secret_put(shop(), "API_KEY".into(), value(text), Wall(2)).await.unwrap(), version);
    }
    let read = async |version: u32| {
        let wanted = BTreeMap::from([("API_KEY".to_string(), version)]);
        store.secret_values(shop(), wanted).await.map(|values| values["API_KEY"].expose().to_vec())
    };
    assert_eq!(read(1).await.unwrap(), b"one");
    assert_eq!(read(2).await.unwrap_err().code(), "not_found", "no release had it");
    assert_eq!(read(3).await.unwrap(), b"three");
    store.release_forget(shop(), no).await.unwrap();
    assert_eq!(read(1).await.unwrap_err().code(), "not_found");

    assert_eq!(store.secret_remove(shop(), "API_KEY".into(), Wall(3)).await.unwrap(), Some(3));
    assert_eq!(store.secret_remove(shop(), "API_KEY".into(), Wall(3)).await.unwrap(), None);
    assert_eq!(store.secrets(shop()).await.unwrap(), []);
    assert_eq!(store.secret_put(shop(), "API_KEY".into(), value("five"), Wall(4)).await.unwrap(), 5);
    assert_eq!(store.secrets(staging()).await.unwrap(), [], "environments do not see each other's");
}

#[tokio::test]
async fn nothing_on_disk_gives_a_secret_away() {
    let rig = Rig::new();
    let store = rig.open();
    store.secret_put(shop(), "API_KEY".into(), value("hunter2-hunter2"), Wall(1)).await.unwrap();
    let token = store.queue_token(shop(), Wall(1)).await.unwrap();
    assert_eq!(token.expose().len(), 64);
    for file in fs::read_dir(rig.folder()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(15).any(|w| w == b"hunter2-hunter2"));
        assert!(!bytes.windows(64).any(|w| w == token.expose()));
    }
    let mode = fs::metadata(rig.key()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
}

#[tokio::test]
async fn a_token_opens_its_own_application_and_stays_the_same() {
    let rig = Rig::new();
    let store = rig.open();
    let token = store.queue_token(shop(), Wall(1)).await.unwrap();
    let other = store.queue_token(staging(), Wall(1)).await.unwrap();
    assert_ne!(token, other);
    drop(store);
    let store = rig.open();
    assert_eq!(store.queue_token(shop(), Wall(2)).await.unwrap(), token);
    let text = String::from_utf8(token.expose().to_vec()).unwrap();
    assert_eq!(store.queue_scope(&text), Some(shop()));
    assert_eq!(store.queue_scope(&text[1..]), None);
}

#[tokio::test]
async fn a_lost_or_wrong_key_is_said_and_nothing_else_stops() {
    let rig = Rig::new();
    let store = rig.open();
    store.secret_put(shop(), "A".into(), value("x"), Wall(1)).await.unwrap();
    drop(store);
    let key = fs::read(rig.key()).unwrap();
    fs::remove_file(rig.key()).unwrap();

    let store = rig.open();
    let error = store.secret_put(shop(), "A".into(), value("y"), Wall(2)).await.unwrap_err();
    assert_eq!(error.code(), "secrets_key_missing");
    assert!(error.hint().unwrap().contains("backup"));
    assert!(!rig.key().exists(), "no second key is made over the first one's rows");
    assert_eq!(store.secrets(shop()).await.unwrap().len(), 1, "names are still listed");

    fs::write(rig.key(), "00".repeat(32)).unwrap();
    let error = store.queue_token(shop(), Wall(2)).await.unwrap_err();
    assert_eq!(error.code(), "secrets_key_wrong");
    fs::write(rig.key(), "no key").unwrap();
    assert_eq!(store.queue_token(shop(), Wall(2)).await.unwrap_err().code(), "secrets_key_unusable");
    fs::write(rig.key(), key).unwrap();
    let values = store.secret_values(shop(), BTreeMap::from([("A".into(), 1)])).await.unwrap();
    assert_eq!(values["A"].expose(), b"x", "the key put back works without a restart");
}

#[tokio::test]
async fn each_application_has_a_user_of_its_own() {
    let rig = Rig::new();
    let store = rig.open();
    assert_eq!(store.uid(shop()).await.unwrap(), 60_000);
    assert_eq!(store.uid(staging()).await.unwrap(), 60_001);
    assert_eq!(store.uid(shop()).await.unwrap(), 60_000);
}

#[tokio::test]
async fn a_folder_in_use_newer_or_damaged_is_refused() {
    let rig = Rig::new();
    let store = rig.open();
    let error = rig.try_open().err().unwrap();
    assert_eq!(error.code(), "folder_locked");
    assert!(error.to_string().contains("forebay node"), "{error}");
    release(&store, shop(), &[]).await;
    drop(store);
    drop(rig.open());

    fs::write(rig.folder().join("FORMAT"), "forebay state 99\n").unwrap();
    let error = loop {
        match rig.try_open() {
            Err(StateError::Locked(_)) => std::thread::yield_now(),
            other => break other.err().unwrap(),
        }
    };
    assert_eq!(error.code(), "format_newer");
    fs::write(rig.folder().join("FORMAT"), "forebay state 1\n").unwrap();
    fs::write(rig.folder().join("state.db"), "this is no database, however long it may be".repeat(20)).unwrap();
    for rest in ["state.db-wal", "state.db-shm"] {
        fs::remove_file(rig.folder().join(rest)).ok();
    }
    assert_eq!(rig.try_open().err().unwrap().code(), "state_corrupt");
}

/// The first released format, as its Forebay wrote it. The fixture is never written again.
#[tokio::test]
async fn the_fixture_of_format_1_is_read() {
    let rig = Rig::new();
    fs::create_dir_all(rig.folder()).unwrap();
    fs::create_dir_all(rig.key().parent().unwrap()).unwrap();
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format_1");
    for (from, to) in [("state.db", rig.folder().join("state.db")), ("FORMAT", rig.folder().join("FORMAT"))] {
        fs::copy(fixtures.join(from), to).unwrap();
    }
    fs::copy(fixtures.join("key"), rig.key()).unwrap();
    let store = rig.open();
    let app = store.app(shop()).await.unwrap().unwrap();
    assert_eq!((app.current, app.owner.as_deref()), (Some(ReleaseNo(2)), Some("team-shop")));
    let release = store.release(shop(), ReleaseNo(2)).await.unwrap().unwrap();
    assert_eq!(release.content, content(&[("API_KEY", 1)]));
    let values = store.secret_values(shop(), release.content.secrets).await.unwrap();
    assert_eq!(values["API_KEY"].expose(), b"hunter2");
    let token = store.queue_token(shop(), Wall(9)).await.unwrap();
    assert_eq!(store.queue_scope(std::str::from_utf8(token.expose()).unwrap()), Some(shop()));
    let scale = store.scale(shop()).await.unwrap();
    assert_eq!(scale, BTreeMap::from([(ProcessName::new("worker").unwrap(), 0)]));
    let instance = store.instances().await.unwrap().remove(0);
    assert_eq!((instance.id.to_string().as_str(), instance.health), ("web.1", Known::Unknown));
    assert_eq!(store.audit_rows(10).await.unwrap()[0].what, "deploy");
}

/// Writes the fixture of the present format; run by hand before a release: `cargo test -p state -- --ignored`.
#[tokio::test]
#[ignore = "writes the fixture"]
async fn write_the_fixture() {
    let rig = Rig::new();
    let store = rig.open();
    store.app_put(shop(), Some("team-shop".into()), Wall(1)).await.unwrap();
    store.secret_put(shop(), "API_KEY".into(), value("hunter2"), Wall(1)).await.unwrap();
    store.release_create(shop(), "deploy".into(), None, content(&[]), Wall(2)).await.unwrap();
    let second =
        store.release_create(shop(), "deploy".into(), None, content(&[("API_KEY", 1)]), Wall(3)).await.unwrap();
    store.release_activate(shop(), second.no).await.unwrap();
    let worker = ProcessName::new("worker").unwrap();
    store.scale_put(shop(), BTreeMap::from([(worker, 0)])).await.unwrap();
    store.queue_token(shop(), Wall(4)).await.unwrap();
    store.uid(shop()).await.unwrap();
    let instance = NewInstance {
        scope: shop(),
        process: ProcessName::new("web").unwrap(),
        release: second.no,
        port: Some(20_000),
        uid: None,
        sockets: "/run/forebay".into(),
        restarts: 0,
        started: Wall(5),
    };
    store.instance_create(instance).await.unwrap();
    let row = state::audit::AuditRow {
        time: Wall(6),
        who: "uid 0".into(),
        what: "deploy".into(),
        scope: Some(shop()),
        target: "v2".into(),
        outcome: "ok".into(),
    };
    store.audit(row).await.unwrap();
    drop(store);
    // The last connection to close moves the WAL into the database; taking the lock tells that it has.
    drop(rig.open());
    while rig.folder().join("state.db-wal").exists() {
        std::thread::yield_now();
    }
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format_1");
    fs::create_dir_all(&fixtures).unwrap();
    for (from, to) in [(rig.folder().join("state.db"), "state.db"), (rig.folder().join("FORMAT"), "FORMAT")] {
        fs::copy(from, fixtures.join(to)).unwrap();
    }
    fs::write(fixtures.join("key"), fs::read(rig.key()).unwrap()).unwrap();
}
