//! What runs where, as a table.

use comfy_table::{Table, presets};

use super::client::Environment;

/// A row for each service in each environment.
pub(super) fn table(environments: &[&Environment]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "SERVICE",
        "VERSION",
        "DIGEST",
        "ENVIRONMENT",
        "ADDRESS",
    ]);
    for environment in environments {
        for service in &environment.services {
            table.add_row([
                service.service.as_str(),
                &service.version,
                short(&service.image_digest),
                &environment.name,
                &service.address,
            ]);
        }
    }
    let text = table.to_string();
    let lines: Vec<_> = text
        .lines()
        .map(|line| format!(" {}", line.trim_end()))
        .collect();
    lines.join("\n")
}

/// Enough of a digest to tell it from others.
fn short(digest: &str) -> &str {
    digest.get(.."sha256:".len() + 12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::super::client::Deployed;
    use super::*;

    #[test]
    fn a_row_says_what_runs_where() {
        let service = Deployed {
            service: "labels".to_owned(),
            version: "0.1.0".to_owned(),
            image_digest: format!("sha256:{}", "ab".repeat(32)),
            address: "http://127.0.0.1:27510".to_owned(),
            ..Deployed::default()
        };
        let production = Environment {
            name: "production".to_owned(),
            services: vec![service],
        };
        let text = table(&[&production]);
        let row = text.lines().last().expect("a row");
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            cells,
            [
                "labels",
                "0.1.0",
                "sha256:abababababab",
                "production",
                "http://127.0.0.1:27510"
            ]
        );
    }
}
