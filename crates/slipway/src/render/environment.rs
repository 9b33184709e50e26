//! Environments for people.

use proto::gateway::v1::{DeployedService, Environment};

use super::release::short_digest;
use super::run::short_id;
use super::table::table;
use super::{Page, duration};

/// The environments as `environment list` prints them.
#[must_use]
pub fn list(environments: &[Environment], page: &Page) -> String {
    if environments.is_empty() {
        return "There are no environments. The platform file declares them.".to_owned();
    }
    let row = |environment: &Environment| {
        let services: Vec<String> = environment
            .services
            .iter()
            .map(|s| format!("{} {}", s.service, s.version))
            .collect();
        vec![
            page.paint.strong(&environment.name),
            environment.target.clone(),
            if environment.production {
                "production registry"
            } else {
                "development registry"
            }
            .to_owned(),
            match environment.approvals {
                0 => "none".to_owned(),
                count => count.to_string(),
            },
            services.join(", "),
        ]
    };
    let rows: Vec<Vec<String>> = environments.iter().map(row).collect();
    table(
        &["ENVIRONMENT", "TARGET", "FED FROM", "APPROVALS", "SERVICES"],
        &rows,
        page,
    )
}

/// One environment as `environment show` prints it.
#[must_use]
pub fn show(environment: &Environment, page: &Page) -> String {
    let mut about = vec![environment.target.clone()];
    if environment.production {
        about.push("fed from the production registry".to_owned());
    }
    if environment.approvals > 0 {
        about.push(match environment.approvals {
            1 => "1 person must agree".to_owned(),
            people => format!("{people} people must agree"),
        });
    }
    let head = format!(
        "{} · {}\n",
        page.paint.strong(&environment.name),
        about.join(" · ")
    );
    if environment.services.is_empty() {
        return format!("{head}\nNothing runs here yet.");
    }
    let rows: Vec<Vec<String>> = environment.services.iter().map(|s| row(s, page)).collect();
    let header = [
        "  SERVICE",
        "VERSION",
        "DIGEST",
        "READY",
        "DEPLOYED",
        "ADDRESS",
        "BACK TO",
        "RUN",
        "",
    ];
    format!("{head}\n{}", table(&header, &rows, page))
}

fn row(service: &DeployedService, page: &Page) -> Vec<String> {
    let ready = format!(
        "{}/{}",
        service.replicas_ready,
        service.replicas.max(service.replicas_ready)
    );
    let well = service.replicas_ready > 0 && service.replicas_ready >= service.replicas;
    let (symbol, ready) = if well {
        (page.paint.good("✔"), ready)
    } else {
        (page.paint.bad("✘"), page.paint.bad(&ready))
    };
    vec![
        format!("{symbol} {}", service.service),
        service.version.clone(),
        short_digest(&service.image_digest),
        ready,
        duration::ago(service.deployed_at.as_ref(), page.now),
        service.address.clone(),
        service.previous_version.clone(),
        short_id(&service.run_id).to_owned(),
        page.paint.attention(&service.note),
    ]
}
