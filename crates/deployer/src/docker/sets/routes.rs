//! What the edge's table says while two versions are side by side: the shares, and what decides before them.

use std::collections::BTreeMap;

use domain::spec::{Canary, Marker, Percent, Strategy, Testers};
use edge::table::{Backend, Mark, Match, Pair, Route, Session, Sticky};

use super::super::ports::Entrance;
use super::super::replicas;
use super::layout::{self, Member, Side};
use crate::steps::Way;

/// A backend to be.
pub(super) struct Place {
    pub(super) member: Member,
    pub(super) version: String,
    /// What tells its version and configuration from every other.
    pub(super) key: String,
    pub(super) entrance: Entrance,
}

/// How the requests are to be split.
pub(super) struct Split<'s> {
    pub(super) strategy: &'s Strategy,
    pub(super) way: Way,
    /// The candidate's share.
    pub(super) weight: Percent,
    /// Host names that lead to the candidate alone.
    pub(super) previews: Vec<String>,
}

impl Split<'_> {
    /// Whose requests go to the candidate whatever its share is: nobody's once it is to go, nor when it has all anyway.
    pub(super) fn testers(&self) -> Option<&Testers> {
        let testers = self.canary()?.testers.as_ref();
        testers.filter(|_| self.way == Way::Forth && self.weight < Percent::ALL)
    }

    /// How clients stay with a version: as long as there are two to choose from.
    pub(super) fn sticky(&self) -> Option<&domain::spec::Sticky> {
        let sticky = self.canary()?.sticky.as_ref();
        sticky.filter(|_| self.weight > Percent::ZERO && self.weight < Percent::ALL)
    }

    fn canary(&self) -> Option<&Canary> {
        match self.strategy {
            Strategy::Canary(canary) => Some(canary),
            Strategy::Rolling(_) | Strategy::BlueGreen(_) => None,
        }
    }
}

/// The routes of the table.
pub(super) fn routes(places: &[Place], split: &Split<'_>) -> Vec<Route> {
    let members: Vec<Member> = places.iter().map(|place| place.member.clone()).collect();
    let weights = layout::weights(&members, split.weight);
    let backends = places.iter().zip(weights);
    let all = Route {
        host: None,
        backends: backends
            .map(|(place, weight)| place.as_backend(weight))
            .collect(),
        matches: matches(places, split),
        sticky: sticky(places, split),
    };
    let candidates: Vec<Backend> = places
        .iter()
        .filter(|place| place.is_candidate())
        .map(|place| place.as_backend(1))
        .collect();
    let previews = split.previews.iter().map(|host| Route {
        host: Some(host.clone()),
        backends: candidates.clone(),
        ..Route::default()
    });
    [all].into_iter().chain(previews).collect()
}

impl Place {
    pub(super) fn is_candidate(&self) -> bool {
        self.member.side == Side::Candidate
    }

    fn as_backend(&self, weight: u32) -> Backend {
        replicas::place(&self.member.name, &self.version, &self.entrance, weight)
    }
}

fn matches(places: &[Place], split: &Split<'_>) -> Vec<Match> {
    let candidates = places.iter().filter(|place| place.is_candidate());
    let backends = sorted(candidates);
    let testers = split.testers().filter(|_| !backends.is_empty());
    let marked = testers.map(|testers| Match {
        when: mark(testers),
        backends,
    });
    marked.into_iter().collect()
}

fn mark(testers: &Testers) -> Mark {
    let pair = |Marker { name, value }: &Marker| Pair {
        name: name.clone(),
        value: value.clone(),
    };
    match testers {
        Testers::Header(marker) => Mark::Header(pair(marker)),
        Testers::Cookie(marker) => Mark::Cookie(pair(marker)),
    }
}

/// A session for each version; on the way back nobody stays with the one that is to go.
fn sticky(places: &[Place], split: &Split<'_>) -> Option<Sticky> {
    let sticky = split.sticky()?;
    let mut versions: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
    for place in places {
        if split.way == Way::Forth || !place.is_candidate() {
            versions.entry(&place.key).or_default().push(place);
        }
    }
    let sessions = versions.into_iter().map(|(key, places)| Session {
        value: key.to_owned(),
        backends: sorted(places.into_iter()),
    });
    Some(Sticky {
        cookie: sticky.cookie.to_string(),
        max_age_s: Some(sticky.lifetime.get().as_secs().max(1)),
        sessions: sessions.collect(),
    })
}

/// Names in an order that is the same whatever was looked at first.
fn sorted<'p>(places: impl Iterator<Item = &'p Place>) -> Vec<String> {
    let mut names: Vec<String> = places.map(|place| place.member.name.clone()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use edge::table::{Readiness, Table};

    use super::*;

    fn place(name: &str, side: Side, key: &str) -> Place {
        Place {
            member: Member {
                name: name.to_owned(),
                side,
                is_ready: true,
                weight: None,
                is_marked: false,
                in_flight: 0,
                is_listed: false,
                is_leaving: false,
            },
            version: key.to_owned(),
            key: key.to_owned(),
            entrance: Entrance {
                port: 80,
                ready: Readiness::Tcp(true),
            },
        }
    }

    /// Two of each version; of the new one the second first.
    fn places() -> Vec<Place> {
        vec![
            place("a-1", Side::Stable, "a"),
            place("a-2", Side::Stable, "a"),
            place("b-2", Side::Candidate, "b"),
            place("b-1", Side::Candidate, "b"),
        ]
    }

    fn strategy() -> Strategy {
        Strategy::Canary(Canary {
            testers: Some(Testers::Header("x-canary=always".parse().unwrap())),
            sticky: Some(domain::spec::Sticky::by("shop".parse().unwrap())),
            ..Canary::default()
        })
    }

    /// Who is reached by testers, and whom clients may stay with.
    fn affinity(way: Way, weight: u32) -> (Vec<String>, Vec<(String, Vec<String>)>) {
        let strategy = strategy();
        let split = Split {
            strategy: &strategy,
            way,
            weight: Percent::of(weight),
            previews: vec!["preview".to_owned()],
        };
        let table = Table {
            routes: routes(&places(), &split),
            ..Table::new(1, Vec::new())
        };
        table.validate().unwrap();
        let [all, preview] = table.routes.as_slice() else {
            panic!("{table:?}")
        };
        assert_eq!(preview.backends.len(), 2);
        assert!(preview.matches.is_empty() && preview.sticky.is_none());
        let reached = all.matches.iter().flat_map(|m| m.backends.clone());
        let sessions = all.sticky.iter().flat_map(|sticky| {
            assert_eq!(
                (sticky.cookie.as_str(), sticky.max_age_s),
                ("shop", Some(3600))
            );
            sticky
                .sessions
                .iter()
                .map(|s| (s.value.clone(), s.backends.clone()))
        });
        (reached.collect(), sessions.collect())
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn testers_come_first_and_clients_stay_once_there_is_a_choice() {
        let (new, a, b) = (
            names(&["b-1", "b-2"]),
            ("a".to_owned(), names(&["a-1", "a-2"])),
            ("b".to_owned(), names(&["b-1", "b-2"])),
        );
        assert_eq!(affinity(Way::Forth, 0), (new.clone(), vec![]));
        assert_eq!(affinity(Way::Forth, 5), (new, vec![a, b]));
        assert_eq!(affinity(Way::Forth, 100), (vec![], vec![]));
    }

    #[test]
    fn on_the_way_back_nobody_stays_with_the_version_that_goes() {
        let a = ("a".to_owned(), names(&["a-1", "a-2"]));
        assert_eq!(affinity(Way::Back, 50), (vec![], vec![a]));
        assert_eq!(affinity(Way::Back, 0), (vec![], vec![]));
    }

    #[test]
    fn without_either_key_the_table_has_only_weights() {
        let strategy = Strategy::Canary(Canary::default());
        let split = Split {
            strategy: &strategy,
            way: Way::Forth,
            weight: Percent::of(50),
            previews: Vec::new(),
        };
        let routes = routes(&places(), &split);
        assert_eq!(edge::status::RouteStatus::of(&routes[0]), None);
    }
}
