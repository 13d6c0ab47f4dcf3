//! What applications depend on: checked once per node, whoever needs it and however many instances they have.

mod command;
mod config;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use health::{Approach, Checker, Failure, Health, HealthCache, Question, Settings, Verdict, probe};
use stdx::clock::{Mono, SharedClock};
use stdx::ids::Scope;
use tokio::task::AbortHandle;

use command::Errand;
pub use config::DependencyConfig;

use crate::environ;
use crate::node::Node;
use crate::spec::Blueprint;

/// How a dependency of an application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyState {
    /// Whose it is.
    pub scope: Scope,
    /// Its name in the manifest.
    pub name: String,
    /// What its checks say.
    pub health: Health,
    /// Why it is not well.
    pub reason: Option<String>,
    /// How old the last result is.
    pub age: Duration,
    /// Nobody has checked it for three intervals.
    pub unchecked: bool,
}

/// What is checked. Two applications that need the same thing, asked in the same way, share its check; commands are an
/// application's own.
type Key = String;

/// All dependencies on this node. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependencies {
    cache: HealthCache<Key>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    wanted: BTreeMap<Scope, BTreeMap<String, Key>>,
    running: BTreeMap<Key, Running>,
}

/// A check that runs; it ends when this is dropped.
#[derive(Debug)]
struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Dependencies {
    /// From now on these are the dependencies of an application.
    pub(crate) async fn set(&self, node: &Arc<Node>, scope: &Scope, blueprint: &Blueprint) {
        let mut asked = BTreeMap::new();
        for (name, config) in &blueprint.plan.dependencies {
            if let Some(ask) = Ask::of(node, scope, blueprint, config).await {
                asked.insert(name.clone(), (key_of(scope, blueprint, config), ask, settings(config)));
            }
        }
        let mut inner = self.lock();
        let wanted = asked.iter().map(|(name, (key, ..))| (name.clone(), key.clone())).collect();
        inner.wanted.insert(scope.clone(), wanted);
        for (key, ask, settings) in asked.into_values() {
            let (all, clock) = (self.clone(), node.clock.clone());
            inner
                .running
                .entry(key.clone())
                .or_insert_with(|| Running(tokio::spawn(all.check(key, ask, settings, clock)).abort_handle()));
        }
        let Inner { wanted, running } = &mut *inner;
        running.retain(|key, _| {
            let needed = wanted.values().any(|names| names.values().any(|one| one == key));
            if !needed {
                self.cache.remove(key);
            }
            needed
        });
    }

    /// The dependencies of one application, or of all.
    pub(crate) fn states(&self, of: Option<&Scope>, now: Mono) -> Vec<DependencyState> {
        let inner = self.lock();
        let mut states = Vec::new();
        for (scope, names) in inner.wanted.iter().filter(|(scope, _)| of.is_none_or(|of| of == *scope)) {
            for (name, key) in names {
                let verdict = self.cache.get(key);
                states.push(DependencyState {
                    scope: scope.clone(),
                    name: name.clone(),
                    health: verdict.as_ref().map(|verdict| verdict.health).unwrap_or_default(),
                    age: verdict.as_ref().map(|verdict| verdict.age(now)).unwrap_or_default(),
                    unchecked: verdict.as_ref().is_some_and(|verdict| verdict.is_unchecked(now)),
                    reason: verdict.and_then(|verdict| verdict.failure).map(|failure| failure.to_string()),
                });
            }
        }
        states
    }

    async fn check(self, key: Key, ask: Ask, settings: Settings, clock: SharedClock) {
        let mut rng = stdx::rng::from_kernel();
        let (timeout, silence_max) = (settings.timeout, settings.silence_max());
        let mut checker = Checker::new(settings, clock.mono());
        loop {
            let due = checker.due_at().unwrap_or_default();
            tokio::time::sleep(due.since(clock.mono())).await;
            checker.begin();
            let answer = ask.once(timeout).await;
            let checked = clock.mono();
            let changed = checker.on_answer(checked, answer.clone(), &mut rng);
            let (health, failure) = (checker.health(), answer.err());
            let verdict =
                Verdict { health, failure, checked, before: Duration::ZERO, silence_max, positions: Arc::default() };
            self.cache.put(key.clone(), verdict);
            if let Some(change) = changed {
                self.say(&key, change.to, change.reason);
            }
        }
    }

    /// A change is said once for each application that it concerns.
    fn say(&self, key: &Key, health: Health, reason: Option<Failure>) {
        for (scope, names) in &self.lock().wanted {
            for dependency in names.iter().filter(|(_, one)| *one == key).map(|(name, _)| name) {
                match &reason {
                    Some(reason) => {
                        tracing::warn!(%scope, dependency, %reason, "a dependency is down; the application is degraded")
                    }
                    None => tracing::info!(%scope, dependency, %health, "a dependency is up"),
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn settings(config: &DependencyConfig) -> Settings {
    let ms = |ms: u32| Duration::from_millis(ms.into());
    Settings { interval: ms(config.interval_ms), timeout: ms(config.timeout_ms), rise: config.rise, fall: config.fall }
}

fn key_of(scope: &Scope, blueprint: &Blueprint, config: &DependencyConfig) -> Key {
    match &config.command {
        Some(_) => format!("{scope} {} {config:?}", blueprint.release),
        None => format!("{config:?}"),
    }
}

/// How one is asked.
enum Ask {
    /// `host:port`.
    Connect(String),
    /// Where, and the `Host` and path.
    Http {
        at: String,
        host: String,
        path: String,
    },
    Command(Errand),
}

impl Ask {
    /// `None` for a declaration that says nothing; the configuration lets none through.
    async fn of(node: &Node, scope: &Scope, blueprint: &Blueprint, config: &DependencyConfig) -> Option<Ask> {
        if let Some(at) = &config.tcp {
            return Some(Ask::Connect(at.clone()));
        }
        if let Some(url) = &config.http {
            let uri: axum::http::Uri = url.parse().ok()?;
            let authority = uri.authority()?;
            let at = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            return Some(Ask::Http { at, host: authority.as_str().into(), path: path.into() });
        }
        let command = config.command.clone()?;
        match errand(node, scope, blueprint, config, command).await {
            Ok(errand) => Some(Ask::Command(errand)),
            Err(error) => {
                tracing::error!(%scope, %error, "a dependency cannot be checked");
                None
            }
        }
    }

    async fn once(&self, timeout: Duration) -> Result<(), Failure> {
        let (at, question) = match self {
            Ask::Connect(at) => (at, Question::Connect),
            Ask::Http { at, host, path } => (at, Question::Http { host: host.clone(), path: path.clone() }),
            Ask::Command(errand) => {
                let errand = errand.clone();
                let run = tokio::task::spawn_blocking(move || errand.run(timeout)).await;
                return run.unwrap_or_else(|error| Err(Failure::Io(error.to_string())));
            }
        };
        let addr = tokio::time::timeout(timeout, first_addr(at)).await;
        let addr = addr.unwrap_or_else(|_| Err(Failure::Io(format!("{at} cannot be looked up in time"))))?;
        probe(addr, &question, &Approach::default(), timeout).await.map(|_| ())
    }
}

async fn first_addr(at: &str) -> Result<SocketAddr, Failure> {
    let mut found = tokio::net::lookup_host(at).await.map_err(|e| Failure::Io(format!("{at}: {e}")))?;
    found.next().ok_or_else(|| Failure::Io(format!("{at} has no address")))
}

async fn errand(
    node: &Node,
    scope: &Scope,
    blueprint: &Blueprint,
    config: &DependencyConfig,
    command: String,
) -> Result<Errand, state::StateError> {
    let versions = blueprint.secrets.iter().filter(|(key, _)| config.secrets_env.contains(key));
    let versions = versions.map(|(key, version)| (key.clone(), *version)).collect();
    let secrets = node.store.secret_values(scope.clone(), versions).await?;
    let inherited = |name: &str| std::env::var_os(name).filter(|_| environ::is_shared(name, node.users));
    let mut env = environ::of_command(scope, blueprint.release, &blueprint.folder, blueprint.config.iter(), inherited);
    for (key, value) in &secrets {
        use std::os::unix::ffi::OsStringExt;
        env.push((key.into(), std::ffi::OsString::from_vec(value.expose().to_vec())));
    }
    let uid = node.uid(scope).await?;
    Ok(Errand {
        command,
        folder: blueprint.folder.clone(),
        env,
        uid,
        number_max: config.command_number_max,
        reading: Arc::default(),
    })
}
