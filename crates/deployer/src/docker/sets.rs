//! Two versions of a service side by side: their replicas, and the edge that splits the requests between them.
//!
//! What is remembered between two looks is only about time, and who was told to go; all else is seen anew.

mod layout;
mod memory;
mod routes;
mod seen;

use std::collections::BTreeSet;
use std::time::Duration;

use container_stage::naming::role;
use container_stage::secrets;
use domain::rollout::{Decision, Observed};
use domain::spec::Percent;
use domain::stage::Failure;
use edge::status::Status;
use engine::labels;
use engine::{ContainerInfo, ContainerState};
use jiff::Timestamp;
use tokio::time::Instant;

use super::edge::Edge;
use super::ports::Entrance;
use super::{Docker, names, replicas};
use crate::analysis::requests::of_status;
use crate::error::TargetError;
use crate::service::SERVICE;
use crate::steps::{Look, SideBySide, Way};
use crate::voice::Voice;
use crate::wanted::Wanted;
use layout::{Member, Side};
use memory::{Memory, Said};
use routes::{Place, Split};
use seen::{Seen, Versions};

/// A version that is brought in beside another.
pub(crate) struct Sets<'a> {
    docker: &'a Docker,
    stable: &'a Wanted,
    candidate: &'a Wanted,
    /// Since when the candidate is brought in.
    since: Timestamp,
    voice: &'a Voice<'a>,
    /// `None` before the first look, and after an error: the edge may have to be made anew.
    edge: Option<Edge>,
    seen: Seen,
    memory: Memory,
}

impl<'a> Sets<'a> {
    pub(crate) fn new(
        docker: &'a Docker,
        stable: &'a Wanted,
        candidate: &'a Wanted,
        since: Timestamp,
        voice: &'a Voice<'a>,
    ) -> Self {
        Self {
            docker,
            stable,
            candidate,
            since,
            voice,
            edge: None,
            seen: Seen::default(),
            memory: Memory::default(),
        }
    }

    /// The same; replicas that do not run are left as they are.
    pub(crate) fn without_clearing(mut self) -> Self {
        self.memory.is_cleared = true;
        self
    }

    async fn entrance(&self, wanted: &Wanted) -> Result<Entrance, TargetError> {
        let (image, engine) = (wanted.image(), &self.docker.engine);
        let credentials = secrets::credentials_for(&self.docker.platform, &image, SERVICE)?;
        engine.ensure_image(&image, credentials.as_ref()).await?;
        let exposed = engine.inspect_image(&image).await?.exposed_ports;
        Entrance::of(&wanted.deploy, &exposed)
    }

    /// Network, edge, and, on the way forth, the image.
    async fn prepare(&mut self, way: Way) -> Result<(), TargetError> {
        let network = names::network(&self.stable.environment);
        let of_environment = labels::of([(labels::ENVIRONMENT, self.stable.environment.as_str())]);
        let engine = &self.docker.engine;
        engine.ensure_network(&network, &of_environment).await?;
        if way == Way::Forth {
            self.entrance(self.candidate).await?;
        }
        // The table tells the edge where else to listen.
        let port = self.stable.deploy.port.unwrap_or(super::ports::PUBLISHED);
        self.edge = Some(Edge::ensure(self.docker, self.stable, port).await?);
        // While the image was fetched nothing could get ready.
        self.memory.since.prepared();
        Ok(())
    }

    fn edge(&self) -> Result<&Edge, TargetError> {
        self.edge.as_ref().ok_or_else(|| TargetError::Edge {
            service: self.stable.service.to_string(),
            what: "it was not looked at".to_owned(),
        })
    }

    /// Replicas of both versions that do not run, or can't, are replaced: those of the candidate once, before anything
    /// else, and those of the stable set again when it has to take over. Where the rollout begins again, all those of the
    /// candidate are that are not ready, or ended before.
    fn clear(&mut self, way: Way) {
        let turned = self.memory.since.way().is_some_and(|before| before != way);
        let is_first = !std::mem::replace(&mut self.memory.is_cleared, true);
        let begins_again = std::mem::take(&mut self.memory.begins_again);
        let both = self.seen.members.iter_mut().zip(&self.seen.containers);
        for (member, container) in both {
            let runs = !matches!(
                container.state,
                ContainerState::Exited { .. } | ContainerState::Created
            );
            let is_due = is_first || turned && way == Way::Back && member.side == Side::Stable;
            let was_broken = !member.is_ready || container.restarts > 0;
            let is_old = begins_again && member.side == Side::Candidate && was_broken;
            if is_due && !runs && !member.is_ready || is_old {
                self.memory
                    .leaving
                    .insert(member.name.clone(), Instant::now());
                member.is_leaving = true;
                // It is not asked to stay after all.
                member.is_ready = false;
            }
        }
        if is_first || begins_again {
            let is_gone = |(index, _): &(usize, String)| self.seen.members[*index].is_leaving;
            self.seen.unwell = self.seen.unwell.take().filter(|unwell| !is_gone(unwell));
        }
    }

    fn drain(&self, side: Side) -> Duration {
        match side {
            Side::Candidate => self.candidate.drain(),
            Side::Stable | Side::Stray => self.stable.drain(),
        }
    }

    /// Why a replica of the version that is to come up is not ready.
    fn waiting_for(&self, status: &Status) -> Option<String> {
        let waits = |m: &&Member| m.side == Side::Candidate && !m.is_ready && !m.is_leaving;
        let waiting = self.seen.members.iter().filter(waits);
        waiting
            .filter_map(|m| status.backends.iter().find(|b| b.name == m.name))
            .find_map(|backend| backend.last_probe_error.clone())
    }

    /// Starts and takes from the table what the decision says; returns all that have a place in it.
    async fn resize(&mut self, decision: &Decision) -> Result<Vec<Place>, TargetError> {
        let wanted = self.stable.deploy.replicas.max(1);
        let change = layout::change(&self.seen.members, decision.sizes, wanted);
        for name in &change.stay {
            self.memory.leaving.remove(name);
        }
        for name in &change.go {
            self.memory.leaving.insert(name.clone(), Instant::now());
        }
        for member in &mut self.seen.members {
            member.is_leaving = self.memory.leaving.contains_key(&member.name);
        }
        let mut places = Vec::new();
        for (container, member) in self.seen.containers.iter().zip(&self.seen.members) {
            if !member.is_leaving {
                places.push(Place {
                    member: member.clone(),
                    version: seen::label(container, labels::VERSION),
                    key: seen::label(container, labels::ROLLOUT),
                    entrance: replicas::entrance(
                        container,
                        &Entrance::of(&self.stable.deploy, &[])?,
                    ),
                });
            }
        }
        for (wanted, side, count) in [
            (self.stable, Side::Stable, change.start.stable),
            (self.candidate, Side::Candidate, change.start.candidate),
        ] {
            places.extend(self.start(wanted, side, count).await?);
        }
        Ok(places)
    }

    async fn start(
        &self,
        wanted: &Wanted,
        side: Side,
        count: u32,
    ) -> Result<Vec<Place>, TargetError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let entrance = self.entrance(wanted).await?;
        let taken: Vec<&str> = self.seen.members.iter().map(|m| m.name.as_str()).collect();
        let mut started = Vec::new();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        for name in names::free_replicas(wanted, &taken).take(count) {
            self.voice.say(&format!("starting {name}")).await;
            let spec = replicas::spec(wanted, &name, &entrance)?;
            self.docker.engine.start_service(&spec).await?;
            started.push(Place {
                member: Member {
                    name,
                    side,
                    is_ready: false,
                    weight: None,
                    is_marked: false,
                    in_flight: 0,
                    is_listed: false,
                    is_leaving: false,
                },
                version: wanted.version.clone(),
                key: wanted.key(),
                entrance: entrance.clone(),
            });
        }
        Ok(started)
    }

    /// Puts a table in force, if it says something else than the one that is.
    async fn route(&mut self, places: &[Place], decision: &Decision) -> Result<(), TargetError> {
        // A canary can be looked at, too, as long as it has not all the traffic anyway.
        let is_canary =
            self.memory.since.way() == Some(Way::Forth) && decision.weight < Percent::ALL;
        let preview = (decision.preview || is_canary) && places.iter().any(Place::is_candidate);
        let previews = preview.then(|| names::preview_hosts(self.candidate));
        let split = Split {
            strategy: &self.candidate.deploy.strategy,
            way: self.memory.since.way().unwrap_or(Way::Forth),
            weight: decision.weight,
            previews: previews.into_iter().flatten().collect(),
        };
        let routes = routes::routes(places, &split);
        if self.seen.says(&routes) {
            return Ok(());
        }
        let ports: BTreeSet<u16> = places.iter().map(|p| p.entrance.port).collect();
        self.edge()?
            .route_by_host(&self.docker.engine, self.seen.generation + 1, ports, routes)
            .await?;
        self.say(&split).await;
        Ok(())
    }

    async fn say(&mut self, split: &Split<'_>) {
        let now = Said::of(split);
        let before = std::mem::replace(&mut self.memory.said, now.clone());
        let (new, old) = (&self.candidate.version, &self.stable.version);
        if let Some(marker) = now.testers.filter(|_| before.testers.is_none()) {
            let line = format!("requests with {marker} go to {new}");
            self.voice.say(&line).await;
        }
        if before.weight != now.weight {
            let whose = if split.sticky().is_some() {
                "the new clients, who stay there, go"
            } else {
                "the traffic goes"
            };
            let line = format!("{} of {whose} to {new}, the rest to {old}", now.weight);
            self.voice.say(&line).await;
        }
        if now.preview && !before.preview {
            let address = self.edge.as_ref().map(Edge::address).unwrap_or_default();
            let line = names::preview_words(self.candidate, &address);
            self.voice.say(&line).await;
        }
    }

    /// Removes those that were told to go and at which nothing is under way.
    async fn remove(&mut self) -> Result<(), TargetError> {
        let both = self.seen.containers.iter().zip(&self.seen.members);
        let due = both.filter(|(_, member)| {
            self.memory
                .leaving
                .get(&member.name)
                .is_some_and(|since| !member.is_listed || since.elapsed() > self.drain(member.side))
        });
        let removals = due.map(|(container, _)| self.remove_one(container));
        for removed in futures::future::join_all(removals).await {
            removed?;
        }
        Ok(())
    }

    async fn remove_one(&self, container: &ContainerInfo) -> Result<(), TargetError> {
        self.voice
            .say(&format!("removing {}", container.name))
            .await;
        let engine = &self.docker.engine;
        engine.stop(&container.id, replicas::STOP_GRACE).await?;
        Ok(engine.remove(&container.id).await?)
    }
}

impl SideBySide for Sets<'_> {
    async fn look(&mut self, way: Way) -> Result<Look, TargetError> {
        if self.edge.is_none() {
            self.prepare(way).await?;
        }
        let containers = self.docker.containers(self.stable, role::REPLICA).await?;
        let edge = self.edge()?;
        let (status, address) = (edge.status(&self.docker.engine).await?, edge.address());
        let is_there = |name: &str| containers.iter().any(|c| c.name == name);
        self.memory.leaving.retain(|name, _| is_there(name));
        let (stable, candidate) = (self.stable.key(), self.candidate.key());
        let versions = Versions {
            stable: &stable,
            candidate: &candidate,
            since: self.since,
        };
        self.seen = Seen::of(containers, &status, &versions, |name| {
            self.memory.leaving.contains_key(name)
        });
        self.clear(way);
        let members = &self.seen.members;
        self.memory.remember(members, way);
        let is_idle = |side| self.memory.is_idle(members, side, self.drain(side));
        Ok(Look {
            observed: Observed {
                stable: layout::set(members, Side::Stable, is_idle(Side::Stable)),
                candidate: layout::set(members, Side::Candidate, is_idle(Side::Candidate)),
                failed: self.seen.unwell.as_ref().map(|(_, why)| why.clone()),
                weight: layout::weight(members),
                advanced_at: self.memory.since.advanced_at(),
            },
            waiting_for: self.waiting_for(&status),
            traffic: Some(of_status(
                &status,
                &self.candidate.version,
                &self.stable.version,
            )),
            unhealthy: self.seen.unhealthy,
            address,
        })
    }

    async fn bring_about(&mut self, decision: &Decision) -> Result<(), TargetError> {
        let places = self.resize(decision).await?;
        self.route(&places, decision).await?;
        self.remove().await
    }

    fn is_settled(&self) -> bool {
        self.memory.leaving.is_empty()
    }

    fn begin_again(&mut self, at: Timestamp) {
        self.since = at;
        self.memory.begins_again = true;
    }

    fn forget(&mut self) {
        self.edge = None;
    }

    async fn last_lines(&self) -> Vec<String> {
        let unready = |m: &Member| m.side == Side::Candidate && !m.is_ready;
        let index = match &self.seen.unwell {
            Some((index, _)) => Some(*index),
            None => self.seen.members.iter().position(unready),
        };
        let Some(container) = index.and_then(|index| self.seen.containers.get(index)) else {
            return Vec::new();
        };
        let lines = self.docker.engine.logs(&container.id, Failure::MAX_LINES);
        match lines.await {
            Ok(lines) => lines.into_iter().map(|line| line.text).collect(),
            Err(error) => vec![format!("(its output can't be had: {error})")],
        }
    }
}
