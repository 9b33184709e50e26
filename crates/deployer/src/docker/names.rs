//! Names of networks and containers.

use domain::ids::{EnvironmentName, ServiceName};
use sha2::{Digest as _, Sha256};

use super::ports::PUBLISHED;
use crate::wanted::Wanted;

/// The network of an environment.
pub(crate) fn network(environment: &EnvironmentName) -> String {
    format!("slipway-{environment}")
}

/// The edge of a service in an environment.
pub(crate) fn edge(wanted: &Wanted) -> String {
    format!("{}-edge", stem(wanted, 63 - "-edge".len()))
}

/// The name by which neighbours reach a version that is looked at before it gets traffic.
pub(crate) fn preview(wanted: &Wanted) -> String {
    preview_of(&wanted.service)
}

/// The same, by the service.
pub(crate) fn preview_of(service: &ServiceName) -> String {
    format!("preview.{service}")
}

/// The same with a port; every edge listens there.
pub(crate) fn preview_address(wanted: &Wanted) -> String {
    format!("{}:{PUBLISHED}", preview(wanted))
}

/// The host names that lead to it: that of neighbours, and one that browsers take to this machine.
pub(crate) fn preview_hosts(wanted: &Wanted) -> [String; 2] {
    [preview(wanted), preview_host(wanted)]
}

fn preview_host(wanted: &Wanted) -> String {
    format!(
        "{}-preview.{}.localhost",
        wanted.service, wanted.environment
    )
}

/// Where it is, for people, where the service itself is at `address`.
pub(crate) fn preview_words(wanted: &Wanted, address: &str) -> String {
    let port = address.rsplit_once(':').map_or("80", |(_, port)| port);
    format!(
        "{} can be looked at: http://{}:{port} (for neighbours in the environment: http://{})",
        wanted.version,
        preview_host(wanted),
        preview(wanted)
    )
}

/// Names for new replicas that are not `taken`: `slipway-<environment>-<service>-<key>-<n>`.
pub(crate) fn free_replicas(wanted: &Wanted, taken: &[&str]) -> impl Iterator<Item = String> {
    let stem = format!(
        "{}-{}",
        stem(wanted, 63 - "-0123456789-9999".len()),
        wanted.key()
    );
    (1..)
        .map(move |n| format!("{stem}-{n}"))
        .filter(|name| !taken.contains(&name.as_str()))
}

/// `slipway-<environment>-<service>`, at most `limit` characters, so that names made of it are host names too. A hash
/// keeps apart what is cut, and what hyphens make alike: `a-b` in `c`, `b` in `c-a`.
fn stem(wanted: &Wanted, limit: usize) -> String {
    let (environment, service) = (wanted.environment.as_str(), wanted.service.as_str());
    let mut stem = format!("slipway-{environment}-{service}");
    if stem.len() <= limit && !environment.contains('-') && !service.contains('-') {
        return stem;
    }
    let hash = hex::encode(Sha256::digest(format!("{environment}/{service}")));
    stem.truncate(limit - "-012345".len());
    format!("{}-{}", stem.trim_end_matches('-'), &hash[..6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::spec::Deploy;

    fn wanted(environment: &str, service: &str) -> Wanted {
        Wanted {
            service: service.parse().unwrap(),
            environment: environment.parse().unwrap(),
            version: "1.0.0".to_owned(),
            run: "r1".parse().unwrap(),
            origin: "r1".parse().unwrap(),
            part_of: None,
            repository: "r/a".to_owned(),
            digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            deploy: Deploy::default(),
            address: None,
            returns: false,
            overwrites: false,
        }
    }

    #[test]
    fn names_are_unlike_and_short_enough_for_host_names() {
        assert_eq!(edge(&wanted("test", "orders")), "slipway-test-orders-edge");
        assert_ne!(edge(&wanted("a-b", "c")), edge(&wanted("a", "b-c")));
        let long = "x".repeat(63);
        let (one, other) = (
            wanted(&long, &long),
            wanted(&long, &format!("{}y", &long[1..])),
        );
        assert_ne!(edge(&one), edge(&other));
        let replica = free_replicas(&one, &[]).nth(8_999).unwrap();
        assert!(edge(&one).len() <= 63 && replica.len() <= 63, "{replica}");
    }

    #[test]
    fn a_name_that_is_taken_is_not_given_again() {
        let wanted = wanted("test", "orders");
        let first = free_replicas(&wanted, &[]).next().unwrap();
        assert_ne!(free_replicas(&wanted, &[&first]).next().unwrap(), first);
    }
}
