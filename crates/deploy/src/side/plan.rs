//! From what somebody wants to what has to change: the plan of a change, before anything is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use control::error::{ApiError, Kind};
use state::releases::{Content, Release, ReleaseState};
use stdx::ids::{ProcessName, ReleaseNo};

use super::Side;
use super::fleet::Fleet;
use crate::errors::{of_state, rejected};
use crate::node::no_such_app;
use crate::rollout::{Failure, Place};
use crate::seams::Plan;
use crate::spec::Blueprint;
use crate::staging::Staged;

impl Side {
    /// Gives a staged source its number and its place.
    pub(super) async fn plan_deploy(&self, staged: Staged, plan: Plan) -> Result<Arc<Blueprint>, ApiError> {
        let (node, scope, now) = (&self.node, &self.scope, self.node.clock.wall());
        node.store.app_put(scope.clone(), plan.owner.clone(), now).await.map_err(|e| of_state(&e))?;
        let secrets = self.newest_secrets(&plan).await?;
        let content = Content {
            digest: staged.unpacked.digest.clone(),
            manifest_schema: plan.resolved_schema,
            manifest: plan.resolved.clone(),
            config: plan.env.clone(),
            secrets,
        };
        let uid = node.uid(scope).await.map_err(|e| of_state(&e))?;
        let release = node
            .store
            .release_create(scope.clone(), "deploy".into(), None, content, now)
            .await
            .map_err(|e| of_state(&e))?;
        let (releases, at, no) = (node.releases.clone(), scope.clone(), release.no);
        let placed = tokio::task::spawn_blocking(move || releases.place(staged, &at, no, uid)).await;
        let placed =
            placed.unwrap_or_else(|error| Err(ApiError::new(Kind::Failed, "source_not_written", error.to_string())));
        if let Err(error) = placed {
            self.give_up(no, error.message.clone()).await;
            return Err(error);
        }
        Ok(self.blueprint(release, plan))
    }

    /// A new release with what an earlier one had.
    pub(super) async fn plan_rollback(&self, to: Option<ReleaseNo>) -> Result<Arc<Blueprint>, ApiError> {
        let target = self.rollback_target(to).await?;
        let plan = self.restore(target.content.manifest.clone()).await?;
        let release = self
            .node
            .store
            .release_create(
                self.scope.clone(),
                format!("rollback to {}", target.no),
                Some(target.source),
                target.content,
                self.node.clock.wall(),
            )
            .await
            .map_err(|e| of_state(&e))?;
        Ok(self.blueprint(release, plan))
    }

    async fn rollback_target(&self, to: Option<ReleaseNo>) -> Result<Release, ApiError> {
        let serving = self.serving.as_ref().ok_or_else(|| no_such_app(&self.scope))?.blueprint.release;
        let all = self.node.store.releases(self.scope.clone()).await.map_err(|e| of_state(&e))?;
        let found = match to {
            Some(no) => all.into_iter().find(|release| release.no == no),
            None => all.into_iter().find(|r| r.no < serving && r.state == ReleaseState::Retired),
        };
        let none = || {
            let what = to.map_or("an earlier release".to_string(), |no| format!("a release {no}"));
            ApiError::new(Kind::NotFound, "release_not_found", format!("{} does not have {what} any more", self.scope))
                .hint("`forebay releases` lists those that are kept; deploy.releases_max says how many")
        };
        let release = found.ok_or_else(none)?;
        if matches!(release.state, ReleaseState::Failed | ReleaseState::Preparing | ReleaseState::Starting) {
            let message = format!("{} of {} never served: it is {}", release.no, self.scope, release.state);
            return Err(ApiError::new(Kind::Usage, "release_never_served", message));
        }
        if !self.node.releases.folder(&self.scope, release.source).is_dir() {
            return Err(none());
        }
        Ok(release)
    }

    /// How many instances of each process there should be.
    pub(super) async fn wanted(&self, plan: &Plan) -> Result<BTreeSet<Place>, ApiError> {
        let scale = self.node.store.scale(self.scope.clone()).await.map_err(|e| of_state(&e))?;
        Ok(places(plan, &scale))
    }

    /// Checks the counts that somebody asks for.
    pub(super) fn check_scale(&self, counts: &BTreeMap<ProcessName, u16>) -> Result<&Fleet, ApiError> {
        let fleet = self.serving.as_ref().ok_or_else(|| no_such_app(&self.scope))?;
        for process in counts.keys() {
            if fleet.blueprint.process(process).is_none() {
                let known: Vec<&str> = fleet.blueprint.plan.processes.keys().map(ProcessName::as_str).collect();
                let message = format!("{} has no process {process}", self.scope);
                return Err(ApiError::new(Kind::NotFound, "process_not_found", message)
                    .hint(format!("its processes are: {}", known.join(", "))));
            }
        }
        Ok(fleet)
    }

    /// Refuses more instances than a node may have.
    pub(super) fn check_count(&self, places: usize) -> Result<(), ApiError> {
        let limit = self.node.config().instances_max;
        if places <= limit as usize {
            return Ok(());
        }
        let message = format!("{} would have {places} instances; the node's limit is {limit}", self.scope);
        Err(ApiError::new(Kind::Policy, "too_many_instances", message).hint("raise deploy.instances_max"))
    }

    pub(super) async fn restore(&self, manifest: String) -> Result<Plan, ApiError> {
        let planner = self.node.planner.clone();
        let restored = tokio::task::spawn_blocking(move || planner.restore(&manifest)).await;
        restored.unwrap_or_else(|error| Err(ApiError::new(Kind::Failed, "manifest_unreadable", error.to_string())))
    }

    pub(super) fn blueprint(&self, release: Release, plan: Plan) -> Arc<Blueprint> {
        Arc::new(Blueprint {
            release: release.no,
            folder: self.node.releases.folder(&self.scope, release.source),
            resolved: release.content.manifest.into(),
            config: release.content.config,
            secrets: release.content.secrets,
            plan,
        })
    }

    /// All secrets that are set, in their newest versions; those that the manifest wants must be among them.
    async fn newest_secrets(&self, plan: &Plan) -> Result<BTreeMap<String, u32>, ApiError> {
        let rows = self.node.store.secrets(self.scope.clone()).await.map_err(|e| of_state(&e))?;
        let set: BTreeMap<String, u32> = rows.into_iter().map(|row| (row.key, row.version)).collect();
        let by_variable = plan.processes.values().flat_map(|process| &process.secrets_env);
        match plan.secrets.iter().chain(by_variable).find(|key| !set.contains_key(*key)) {
            None => Ok(set),
            Some(key) => {
                let message = format!("{} needs the secret {key}, which is not set", self.scope);
                Err(ApiError::new(Kind::Usage, "secret_missing", message)
                    .hint(format!("forebay secrets set {} {key}", self.scope.app)))
            }
        }
    }

    /// Marks a release failed that never came to start anything.
    pub(super) async fn give_up(&self, no: ReleaseNo, reason: String) {
        let marked = self.node.store.release_mark(self.scope.clone(), no, ReleaseState::Failed, Some(reason)).await;
        if let Err(error) = marked {
            tracing::error!(scope = %self.scope, release = %no, %error, "a failed release is not marked; the next start will");
        }
    }

    /// The error for a change that broke a rule: what it was, and the last words of the instance that broke it.
    pub(super) fn rejection(&self, release: ReleaseNo, failure: &Failure, words: Vec<String>) -> ApiError {
        let serving = self.serving.as_ref().map(|fleet| fleet.blueprint.release);
        rejected(&self.scope, release, serving, failure, words)
    }
}

/// The places of a plan: what the manifest says, unless somebody has scaled.
pub(super) fn places(plan: &Plan, scale: &BTreeMap<ProcessName, u16>) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for (process, config) in &plan.processes {
        let count = scale.get(process).copied().unwrap_or(config.instances);
        places.extend((0..count).map(|index| Place { process: process.clone(), index }));
    }
    places
}
