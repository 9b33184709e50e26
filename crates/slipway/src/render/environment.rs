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
            .map(|s| in_short(s, page))
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

/// `delivery 1.4.0`, with how many replicas are ready where that is not as it should be.
fn in_short(service: &DeployedService, page: &Page) -> String {
    let title = [service.service.as_str(), &service.version].join(" ");
    let title = title.trim_end();
    match standing(service) {
        Standing::Well => title.to_owned(),
        Standing::Ill => format!(
            "{title} {}",
            page.paint.bad(&format!("({} ready)", ready(service)))
        ),
        Standing::Unknown => format!("{title} {}", page.paint.attention("(unknown)")),
    }
}

fn row(service: &DeployedService, page: &Page) -> Vec<String> {
    let ready = ready(service);
    let (symbol, ready) = match standing(service) {
        Standing::Well => (page.paint.good("✔"), ready),
        Standing::Ill => (page.paint.bad("✘"), page.paint.bad(&ready)),
        Standing::Unknown => (page.paint.attention("?"), page.paint.attention(&ready)),
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

/// How a service is.
enum Standing {
    /// As many replicas are ready as there should be.
    Well,
    /// Some are missing, or all.
    Ill,
    /// Nobody could be asked.
    Unknown,
}

fn standing(service: &DeployedService) -> Standing {
    if !service.is_live_known {
        Standing::Unknown
    } else if service.replicas_ready > 0 && service.replicas_ready >= service.replicas {
        Standing::Well
    } else {
        Standing::Ill
    }
}

/// `2/3`: ready, of how many there should be; `?/3` where nobody could be asked.
fn ready(service: &DeployedService) -> String {
    match standing(service) {
        Standing::Unknown => format!("?/{}", service.replicas),
        _ => format!("{}/{}", service.replicas_ready, service.replicas),
    }
}
