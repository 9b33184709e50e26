//! The plan of a run: its stage graph, resolved once from the service file, the platform file and the trigger.

use std::time::Duration;

use crate::ids::EnvironmentName;
use crate::platform::{Environment, PlatformSpec, Target};
use crate::run::Kind;
use crate::spec::{ServiceSpec, Strategy};
use crate::stage::StageName;

/// The stages of a run and where they deploy to. Kept in the run's first event: what the files say later changes
/// nothing for this run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In an order in which every stage comes after those that it needs.
    pub stages: Vec<PlannedStage>,
    /// The environments that the run comes to, in promotion order.
    pub environments: Vec<PlannedEnvironment>,
    /// `host/name` of the service's image in the development registry.
    pub development_repository: String,
    /// `host/name` of the service's image in the production registry.
    pub production_repository: String,
}

/// One stage of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStage {
    /// Its name.
    pub name: StageName,
    /// The stages that must succeed before it; the ones that must end before it, if it restores an environment.
    pub needs: Vec<StageName>,
    /// How long one attempt may take.
    pub time_limit: Duration,
}

/// An environment as it was when the run was planned.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedEnvironment {
    /// Its name.
    pub name: EnvironmentName,
    /// How many people must agree before a deployment.
    pub approvals: u32,
    /// Fed from the production registry.
    pub production: bool,
    /// Where its services run.
    pub target: Target,
}

/// Time limits of the stages for which the service file names none.
const BUILD: Duration = Duration::from_secs(30 * 60);
const TEST: Duration = Duration::from_secs(15 * 60);
const REGISTRY: Duration = Duration::from_secs(15 * 60);
const DEPLOY: Duration = Duration::from_secs(15 * 60);
const APPROVAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Plan {
    /// The environment of that name.
    #[must_use]
    pub fn environment(&self, name: &EnvironmentName) -> Option<&PlannedEnvironment> {
        self.environments.iter().find(|e| e.name == *name)
    }

    /// The time limit of a stage.
    #[must_use]
    pub fn time_limit(&self, name: &StageName) -> Duration {
        self.stages
            .iter()
            .find(|s| s.name == *name)
            .map_or(BUILD, |s| s.time_limit)
    }
}

/// Resolves the stages of a run.
#[must_use]
pub fn plan(spec: &ServiceSpec, platform: &PlatformSpec, kind: &Kind) -> Plan {
    let mut graph = Graph::default();
    let environments: Vec<(&EnvironmentName, &Environment)> = match kind {
        Kind::Change => platform.environments.iter().collect(),
        Kind::Proposal { .. } => Vec::new(),
        Kind::Deploy(target) | Kind::Rollback(target) => platform
            .environments
            .iter()
            .filter(|(name, _)| **name == target.environment)
            .collect(),
    };
    match kind {
        Kind::Change => {
            graph.make(spec);
            graph.publish();
            for (name, environment) in &environments {
                graph.enter(spec, name, environment, true);
            }
        }
        Kind::Proposal { .. } => graph.make(spec),
        Kind::Deploy(_) => {
            for (name, environment) in &environments {
                graph.enter(spec, name, environment, false);
            }
        }
        Kind::Rollback(target) => graph.add(
            StageName::Deploy(target.environment.clone()),
            rollout_limit(spec, &target.environment),
        ),
    }
    let planned = |(name, e): (&EnvironmentName, &Environment)| PlannedEnvironment {
        name: name.clone(),
        approvals: e.approvals,
        production: e.production,
        target: e.target.clone(),
    };
    Plan {
        stages: graph.stages,
        environments: environments.into_iter().map(planned).collect(),
        development_repository: platform.development_repository(&spec.service),
        production_repository: platform.production_repository(&spec.service),
    }
}

fn deploy_limit(spec: &ServiceSpec) -> Duration {
    spec.deploy
        .as_ref()
        .and_then(|d| d.deadline)
        .map_or(DEPLOY, |d| d.get().max(DEPLOY))
}

/// A rollout in steps has a deadline for each of them, and waits for people for as long as they want.
fn rollout_limit(spec: &ServiceSpec, environment: &EnvironmentName) -> Duration {
    let deploy = spec.deploy.as_ref();
    match deploy.map(|deploy| deploy.in_environment(environment).strategy) {
        Some(Strategy::BlueGreen(_) | Strategy::Canary(_)) => APPROVAL,
        Some(Strategy::Rolling(_)) | None => deploy_limit(spec),
    }
}

/// Stages so far, and the ones that the next stage comes after.
#[derive(Default)]
struct Graph {
    stages: Vec<PlannedStage>,
    frontier: Vec<StageName>,
}

impl Graph {
    /// Adds a stage after the frontier; it becomes the frontier.
    fn add(&mut self, name: StageName, time_limit: Duration) {
        let needs = std::mem::replace(&mut self.frontier, vec![name.clone()]);
        self.stages.push(PlannedStage {
            name,
            needs,
            time_limit,
        });
    }

    /// Stages 1 to 4: build, then unit tests and image side by side, then functional tests of the image.
    fn make(&mut self, spec: &ServiceSpec) {
        if let Some(build) = &spec.build {
            self.add(StageName::Build, build.timeout.map_or(BUILD, |t| t.get()));
        }
        let after_build = self.frontier.clone();
        let mut last = Vec::new();
        if let Some(unit) = &spec.test.unit {
            self.add(StageName::UnitTest, unit.timeout.map_or(TEST, |t| t.get()));
            last.append(&mut self.frontier);
        }
        self.frontier = after_build;
        self.add(
            StageName::Image,
            spec.image.timeout.map_or(BUILD, |t| t.get()),
        );
        if let Some(functional) = &spec.test.functional {
            self.add(
                StageName::FunctionalTest,
                functional.timeout.map_or(TEST, |t| t.get()),
            );
        }
        last.append(&mut self.frontier);
        self.frontier = last;
    }

    fn publish(&mut self) {
        self.add(StageName::Publish, REGISTRY);
    }

    /// One environment: approval, promotion if it is fed from the production registry, rollout, and tests where it
    /// is not production, with the way back if they are red.
    fn enter(
        &mut self,
        spec: &ServiceSpec,
        name: &EnvironmentName,
        environment: &Environment,
        tests: bool,
    ) {
        if environment.approvals > 0 {
            self.add(StageName::Approve(name.clone()), APPROVAL);
        }
        if environment.production && !self.stages.iter().any(|s| s.name == StageName::Promote) {
            self.add(StageName::Promote, REGISTRY);
        }
        self.add(StageName::Deploy(name.clone()), rollout_limit(spec, name));
        if environment.production || !tests {
            return;
        }
        let first_test = self.stages.len();
        if let Some(integration) = &spec.test.integration {
            let limit = integration.timeout.map_or(TEST, |t| t.get());
            self.add(StageName::IntegrationTest(name.clone()), limit);
        }
        if let Some(load) = &spec.test.load {
            self.add(
                StageName::LoadTest(name.clone()),
                load.duration.get() + TEST,
            );
        }
        self.restore(name, first_test, deploy_limit(spec));
    }

    /// Puts the environment back after its tests, which are the stages from `first_test` on. Nothing needs it: what
    /// comes next does not wait for it.
    fn restore(&mut self, environment: &EnvironmentName, first_test: usize, time_limit: Duration) {
        let tests = self.stages[first_test..].iter().map(|s| s.name.clone());
        let needs: Vec<StageName> = tests.collect();
        if !needs.is_empty() {
            self.stages.push(PlannedStage {
                name: StageName::Restore(environment.clone()),
                needs,
                time_limit,
            });
        }
    }
}

#[cfg(test)]
mod tests;
