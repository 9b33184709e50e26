//! The gateway, our token, and what the gateway says about the other parts.

use proto::gateway::v1::Status;

use crate::cli::Global;
use crate::connection::Gateway;
use crate::error::CliError;
use crate::output::doctor::Check;
use crate::token::process_environment;

pub(super) async fn check(global: &Global) -> Vec<Check> {
    let gateway = match Gateway::from(global, &process_environment) {
        Ok(gateway) => gateway,
        Err(error) => return vec![failure(&error)],
    };
    match gateway.status().await {
        Ok(status) => judge(&status, gateway.server()),
        Err(error) => vec![failure(&error)],
    }
}

/// The first line says what is wrong, the others what to do.
fn failure(error: &CliError) -> Check {
    let text = error.to_string();
    let (detail, mend) = text.split_once('\n').unwrap_or((&text, ""));
    Check::bad("gateway", true, detail, mend)
}

fn judge(status: &Status, server: &str) -> Vec<Check> {
    let ours = env!("CARGO_PKG_VERSION");
    let detail = format!(
        "{server}, version {}, knows us as {}",
        status.version, status.actor
    );
    let mut checks = vec![if status.version == ours {
        Check::ok("gateway", detail)
    } else {
        Check::bad(
            "gateway",
            false,
            detail,
            format!("this program is version {ours}: use the same version of both"),
        )
    }];
    checks.extend(status.parts.iter().map(|part| {
        let (detail, mend) = part.detail.split_once('\n').unwrap_or((&part.detail, ""));
        if part.ok {
            Check::ok(&part.name, detail)
        } else {
            Check::bad(&part.name, true, detail, mend)
        }
    }));
    checks
}

#[cfg(test)]
mod tests {
    use proto::gateway::v1::Part;

    use super::*;
    use crate::output::doctor::Health;

    #[test]
    fn each_part_is_a_check_of_its_own() {
        let part = |name: &str, ok| Part {
            name: name.into(),
            ok,
            detail: "no answer\nstart it".into(),
        };
        let parts = vec![part("builder", true), part("deployer", false)];
        let status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            actor: "ana".into(),
            parts,
        };
        let states: Vec<Health> = judge(&status, "http://ci")
            .iter()
            .map(|c| c.state)
            .collect();
        assert_eq!(states, [Health::Ok, Health::Ok, Health::Fail]);
    }

    #[test]
    fn another_version_is_a_warning() {
        let status = Status {
            version: "9.9.9".into(),
            ..Status::default()
        };
        assert_eq!(judge(&status, "http://ci")[0].state, Health::Warn);
    }
}
