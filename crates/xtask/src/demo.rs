//! `cargo xtask demo`: the demo application from a commit to production, on this machine.
//!
//! What is there already is kept: a rerun builds what changed, starts what doesn't run and carries only the services
//! whose newest commit is not in production.

pub(crate) mod client;
mod down;
mod home;
mod pipeline;
mod progress;
mod repository;
mod server;
mod services;
mod shop;
mod table;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::build::{self, Programs};
use crate::setup::{self, Purpose};
use client::{Client, Environment};
use home::Home;
use pipeline::{Cargo, Fared};
use repository::Repository;
use services::Service;

/// The environment that customers use.
const PRODUCTION: &str = "production";
/// The service that customers see; a second commit goes to it alone.
const STOREFRONT: &str = "storefront";

/// What to do.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Stop and remove everything that the demo started and made
    #[arg(long)]
    pub down: bool,
    /// After a failure go on with the services that don't need what failed
    #[arg(long, conflicts_with = "down")]
    pub keep_going: bool,
}

/// Runs or removes the demo; whether all is well.
pub async fn run(root: &Path, options: Options) -> Result<bool> {
    let began = Instant::now();
    if options.down {
        println!("Removing the demo:");
        down::run(root).await?;
        println!("Kept: the container engine, and the public images that services start from.");
        return Ok(true);
    }
    let Some(demo) = Demo::start(root).await? else {
        return Ok(false);
    };
    let all_is_well = demo.carry_all(options.keep_going).await? && demo.carry_the_change().await?;
    if all_is_well {
        demo.say_where_to_look();
        println!("\nAll of it took {:.0} s.", began.elapsed().as_secs_f64());
    }
    Ok(all_is_well)
}

struct Demo {
    folder: std::path::PathBuf,
    home: Home,
    programs: Programs,
    client: Client,
    carried: Vec<(Service, Repository)>,
}

impl Demo {
    /// Sets up, builds, starts `slipway up` and makes the repositories; `None` if something is missing.
    async fn start(root: &Path) -> Result<Option<Self>> {
        println!("Setting up:");
        let report = setup::run(root, Purpose::Demo).await?;
        if !report.complete() {
            println!(
                "\nThe demo needs what is missing above. Mend it and run `cargo xtask demo` again."
            );
            return Ok(None);
        }
        println!("\nBuilding (minutes the first time, seconds from then on):");
        let programs = build::run(root).await?;

        println!("\nStarting:");
        let folder = root.join("deploy/demo");
        let home = Home::find()?;
        home.create()?;
        home.ensure_platform(&folder.join("platform.yaml"))?;
        let client = Client::new(&programs.slipway, &home);
        let began = Instant::now();
        let found = server::ensure(&home, &programs, &client).await?;
        let how = match found {
            server::Found::Running => "runs already".to_owned(),
            server::Found::Started => format!("started ({:.0} s)", began.elapsed().as_secs_f64()),
            server::Found::Renewed => "started again with the new program".to_owned(),
        };
        println!("  slipway up … {how}; its log is {}", home.log().display());
        let mut carried = Vec::new();
        for service in services::read(&folder)? {
            let repository = Repository::keep(home.repository(&service.name), &service).await?;
            carried.push((service, repository));
        }
        println!(
            "  {} services, each in a Git repository of its own",
            carried.len()
        );
        Ok(Some(Self {
            folder,
            home,
            programs,
            client,
            carried,
        }))
    }

    /// Carries every service whose newest commit is not in production, and shows the outcome.
    async fn carry_all(&self, keep_going: bool) -> Result<bool> {
        let production = self.client.environment(PRODUCTION).await?;
        let mut due = Vec::new();
        for (service, repository) in &self.carried {
            if !self.is_deployed(service, repository, &production).await? {
                due.push(cargo(service, repository));
            }
        }
        let there = self.carried.len() - due.len();
        if due.is_empty() {
            println!(
                "\nAll {there} services are in production at their newest commits; nothing is built again."
            );
        } else {
            println!("\nFrom commit to production:");
            if there > 0 {
                println!("  {there} services are there at their newest commits");
            }
            let fared = pipeline::carry(&self.client, due, keep_going).await?;
            if !self.all_went_well(fared).await? {
                return Ok(false);
            }
        }
        self.show_the_application().await?;
        Ok(true)
    }

    /// A second commit, to one service: it goes through alone, and the others stay as they are.
    async fn carry_the_change(&self) -> Result<bool> {
        let (service, repository) = self.storefront()?;
        if repository.has_change().await {
            return Ok(true);
        }
        println!("\nA second commit, to {STOREFRONT} alone:");
        let before = self.client.environment(PRODUCTION).await?;
        repository
            .apply(&self.folder.join("changes/storefront.patch"))
            .await?;
        let fared = pipeline::carry(&self.client, vec![cargo(service, repository)], false).await?;
        let version = fared.well.first().map(|(_, run)| run.version.clone());
        if !self.all_went_well(fared).await? {
            return Ok(false);
        }
        let version = version.context("the run has a version")?;
        let after = self.client.environment(PRODUCTION).await?;
        let (address, others) = compare(&before, &after, &version)?;
        shop::check_version(&address, &version).await?;
        println!("  {STOREFRONT} {version} answers at {address}; {others} others are as they were");
        println!("\n{}", table::table(&[&after]));
        Ok(true)
    }

    async fn is_deployed(
        &self,
        service: &Service,
        repository: &Repository,
        production: &Environment,
    ) -> Result<bool> {
        let Some(deployed) = production.service(&service.name) else {
            return Ok(false);
        };
        if deployed.replicas_ready == 0 || deployed.run_id.is_empty() {
            return Ok(false);
        }
        let run = self.client.run(&deployed.run_id).await?;
        Ok(run.commit == repository.head().await?)
    }

    async fn all_went_well(&self, fared: Fared) -> Result<bool> {
        for (service, outcome) in &fared.badly {
            println!("\n{service} did not get through:\n");
            match outcome {
                Ok(run) => self.client.show(&run.run_id).await?,
                Err(error) => println!("  {error:#}"),
            }
        }
        if fared.badly.is_empty() {
            return Ok(true);
        }
        if !fared.left.is_empty() {
            println!("\nNot started because of that: {}", fared.left.join(", "));
        }
        println!("\nEverything else runs on. Look further with:");
        self.say_how_to_call();
        println!("  slipway doctor");
        println!("  tail -n 50 {}", self.home.log().display());
        Ok(false)
    }

    async fn show_the_application(&self) -> Result<()> {
        let test = self.client.environment("test").await?;
        let production = self.client.environment(PRODUCTION).await?;
        println!("\n{}\n", table::table(&[&test, &production]));
        let storefront = production
            .service(STOREFRONT)
            .context("the storefront is not in production")?;
        let address = &storefront.address;
        let seen = shop::check(address, &production).await?;
        println!("The shop is open: {address}\n  it shows {seen}");
        Ok(())
    }

    fn storefront(&self) -> Result<&(Service, Repository)> {
        let mut carried = self.carried.iter();
        carried
            .find(|(service, _)| service.name == STOREFRONT)
            .context("deploy/demo has no storefront")
    }

    fn say_where_to_look(&self) {
        println!("\nLook around:");
        self.say_how_to_call();
        println!("  slipway run list");
        println!("  slipway environment show {PRODUCTION}");
        println!("  slipway release list --service {STOREFRONT}");
        println!("  slipway rollback {STOREFRONT} --in {PRODUCTION} --wait");
        println!("Commit something to a repository and carry it:");
        let repository = self.home.repository(STOREFRONT);
        println!(
            "  slipway run start --repository {} --ref main --wait",
            repository.display()
        );
        println!("Remove everything: cargo xtask demo --down");
    }

    /// What makes the commands below work as they are shown.
    fn say_how_to_call(&self) {
        let folder = self.programs.slipway.parent().unwrap_or(Path::new("."));
        println!("  export PATH=\"{}:$PATH\"", folder.display());
        if !self.home.is_default() {
            println!(
                "  export SLIPWAY_DATA_DIR=\"{}\"",
                self.home.data().display()
            );
        }
    }
}

fn cargo(service: &Service, repository: &Repository) -> Cargo {
    Cargo {
        service: service.clone(),
        repository: repository.path().to_owned(),
    }
}

/// Sees that the storefront, and nothing else, is another version than before; its address and the number of others.
fn compare(before: &Environment, after: &Environment, version: &str) -> Result<(String, usize)> {
    let storefront = after
        .service(STOREFRONT)
        .context("the storefront is gone from production")?;
    ensure!(
        storefront.version == version,
        "production has {STOREFRONT} {}, not {version}",
        storefront.version
    );
    let mut others = 0;
    for was in before
        .services
        .iter()
        .filter(|was| was.service != STOREFRONT)
    {
        let is = after.service(&was.service);
        ensure!(
            is.is_some_and(|is| is.version == was.version && is.image_digest == was.image_digest),
            "{} should have stayed at {}",
            was.service,
            was.version
        );
        others += 1;
    }
    Ok((storefront.address.clone(), others))
}

#[cfg(test)]
mod tests {
    use super::client::Deployed;
    use super::*;

    fn environment(versions: [(&str, &str); 2]) -> Environment {
        let services = versions.map(|(service, version)| Deployed {
            service: service.to_owned(),
            version: version.to_owned(),
            image_digest: format!("sha256:{version}"),
            ..Deployed::default()
        });
        Environment {
            name: PRODUCTION.to_owned(),
            services: services.into(),
        }
    }

    #[test]
    fn a_change_of_another_service_is_noticed() {
        let before = environment([("labels", "0.1.0"), (STOREFRONT, "0.1.0")]);
        let alone = environment([("labels", "0.1.0"), (STOREFRONT, "0.2.0")]);
        let (_, others) = compare(&before, &alone, "0.2.0").expect("only the storefront changed");
        assert_eq!(others, 1);
        let both = environment([("labels", "0.2.0"), (STOREFRONT, "0.2.0")]);
        assert!(compare(&before, &both, "0.2.0").is_err());
        assert!(compare(&before, &before, "0.2.0").is_err());
    }
}
