//! Where a route splits the traffic between two versions: what share that is, and the change to another. Pure.

use domain::spec::Percent;
use serde_json::{Value as Json, json};

use super::RouteError;

const WHOLE: u64 = 1_000_000;
/// One percent, in parts per million.
const PERCENT: u32 = 10_000;

/// How finely a router measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// Any numbers: only their ratio counts.
    Ratio,
    /// Whole percent, 100 in all.
    Percent,
}

/// One place of a route that leads to both versions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fork {
    /// What it is called, for people: `HTTPRoute shop, rule 1`.
    pub(super) name: String,
    /// The JSON pointer of the list of backends.
    pub(super) list: String,
    /// The list, as it was read.
    pub(super) backends: Vec<Json>,
    /// Which of them is the version that serves.
    pub(super) stable: usize,
    /// Which of them is the canary.
    pub(super) canary: usize,
    /// What a backend without a weight has.
    pub(super) default: u64,
}

/// All places of a route that lead to both versions. There is at least one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    pub(super) forks: Vec<Fork>,
    pub(super) grain: Grain,
}

impl Fork {
    fn weight(&self, index: usize) -> u64 {
        let weight = self.backends.get(index).map(|backend| &backend["weight"]);
        weight.and_then(Json::as_u64).unwrap_or(self.default)
    }

    /// The canary's share in millionths. Nothing at all is no share.
    fn share(&self) -> u64 {
        let (stable, canary) = (self.weight(self.stable), self.weight(self.canary));
        match stable.saturating_add(canary) {
            0 => 0,
            _ if stable == 0 => WHOLE,
            all => (canary.saturating_mul(WHOLE) / all).clamp(u64::from(canary > 0), WHOLE - 1),
        }
    }

    /// Whether it says what its team means.
    fn check(&self, grain: Grain) -> Result<(), RouteError> {
        let ours = [self.stable, self.canary];
        let mut others = (0..self.backends.len()).filter(|index| !ours.contains(index));
        let other = others.find(|index| self.weight(*index) > 0);
        if let Some(other) = other {
            return Err(RouteError::Third {
                route: self.name.clone(),
                backend: self.backends[other].to_string(),
            });
        }
        let (stable, canary) = (self.weight(self.stable), self.weight(self.canary));
        let sum = stable.saturating_add(canary);
        let must = match grain {
            Grain::Ratio if sum == 0 => "more than 0",
            Grain::Percent if sum != 100 => "100",
            _ => return Ok(()),
        };
        Err(RouteError::Sum {
            route: self.name.clone(),
            stable,
            canary,
            sum,
            must,
        })
    }
}

impl Split {
    /// Whether the weights make sense before anything was changed.
    pub(super) fn check(&self) -> Result<(), RouteError> {
        self.forks
            .iter()
            .try_for_each(|fork| fork.check(self.grain))
    }

    /// The canary's share; 0 and 100 % only where it is that in every place. Where they differ, the mean.
    pub(super) fn share(&self) -> Percent {
        let shares: Vec<u64> = self.forks.iter().map(Fork::share).collect();
        let (least, most) = (shares.iter().min(), shares.iter().max());
        let sum: u64 = shares.iter().sum();
        let mean = sum / u64::try_from(shares.len()).unwrap_or(1).max(1);
        let parts = match (least, most) {
            (Some(least), Some(most)) if least == most => *least,
            _ => mean.clamp(1, WHOLE - 1),
        };
        Percent::from_parts_per_million(u32::try_from(parts).unwrap_or(u32::MAX))
    }

    /// The JSON patch that gives the canary another share; empty where it has it. It holds only as long as the
    /// backends are those that were read.
    pub(super) fn change(&self, share: Percent) -> Vec<Json> {
        let (stable, canary) = weights(share, self.grain);
        let mut patch = Vec::new();
        for fork in &self.forks {
            let is_so = |index: usize, weight: u64| {
                fork.backends.get(index).map(|b| &b["weight"]) == Some(&json!(weight))
            };
            if is_so(fork.stable, stable) && is_so(fork.canary, canary) {
                continue;
            }
            patch.push(json!({ "op": "test", "path": fork.list, "value": fork.backends }));
            for (index, weight) in [(fork.stable, stable), (fork.canary, canary)] {
                let path = format!("{}/{index}/weight", fork.list);
                patch.push(json!({ "op": "add", "path": path, "value": weight }));
            }
        }
        patch
    }
}

/// The two weights of a share. 0 and 100 % are exact, and nothing else becomes one of them.
fn weights(share: Percent, grain: Grain) -> (u64, u64) {
    let parts = share.parts_per_million();
    if grain == Grain::Ratio && !parts.is_multiple_of(PERCENT) {
        return (WHOLE - u64::from(parts), u64::from(parts));
    }
    let percent = match parts {
        0 => 0,
        1_000_000 => 100,
        parts => ((parts + PERCENT / 2) / PERCENT).clamp(1, 99),
    };
    (100 - u64::from(percent), u64::from(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork(stable: Option<u64>, canary: Option<u64>) -> Fork {
        let backend = |name: &str, weight: Option<u64>| match weight {
            Some(weight) => json!({ "name": name, "weight": weight }),
            None => json!({ "name": name }),
        };
        Fork {
            name: "HTTPRoute shop, rule 1".to_owned(),
            list: "/spec/rules/0/backendRefs".to_owned(),
            backends: vec![backend("canary", canary), backend("stable", stable)],
            stable: 1,
            canary: 0,
            default: 1,
        }
    }

    fn split(grain: Grain, forks: &[(u64, u64)]) -> Split {
        let forks = forks.iter().map(|(s, c)| fork(Some(*s), Some(*c)));
        Split {
            forks: forks.collect(),
            grain,
        }
    }

    fn percent(text: &str) -> Percent {
        text.parse().unwrap()
    }

    #[test]
    fn a_share_is_all_or_nothing_only_where_the_weights_are() {
        for (forks, share) in [
            (&[(100, 0)][..], "0%"),
            (&[(0, 100)], "100%"),
            (&[(3, 1)], "25%"),
            (&[(0, 0)], "0%"),
            (&[(9_999_999, 1)], "0.0001%"),
            (&[(1, 9_999_999)], "99.9999%"),
            (&[(50, 50), (50, 50)], "50%"),
            (&[(100, 0), (0, 100)], "50%"),
            (&[(100, 0), (100, 0), (99, 1)], "0.3333%"),
        ] {
            assert_eq!(
                split(Grain::Ratio, forks).share(),
                percent(share),
                "{forks:?}"
            );
        }
        let without_weights = Split {
            forks: vec![fork(None, None)],
            grain: Grain::Ratio,
        };
        assert_eq!(without_weights.share(), percent("50%"));
    }

    #[test]
    fn what_is_set_is_read_back_and_extremes_are_exact() {
        for (grain, share, set) in [
            (Grain::Ratio, "0%", (100, 0)),
            (Grain::Ratio, "25%", (75, 25)),
            (Grain::Ratio, "0.1%", (999_000, 1_000)),
            (Grain::Percent, "0%", (100, 0)),
            (Grain::Percent, "0.1%", (99, 1)),
            (Grain::Percent, "12.5%", (87, 13)),
            (Grain::Percent, "99.9%", (1, 99)),
            (Grain::Percent, "100%", (0, 100)),
        ] {
            assert_eq!(weights(percent(share), grain), set, "{share} {grain:?}");
            let read = split(grain, &[set]).share().parts_per_million();
            let error = read.abs_diff(percent(share).parts_per_million());
            assert!(error < 10_000, "{share} {grain:?}: {error}");
        }
    }

    #[test]
    fn a_change_is_only_of_weights_and_only_while_nobody_else_changes_the_backends() {
        let split = split(Grain::Ratio, &[(90, 10), (75, 25)]);
        let patch = split.change(percent("25%"));
        let list = "/spec/rules/0/backendRefs";
        let value = &split.forks[0].backends;
        assert_eq!(
            patch,
            [
                json!({ "op": "test", "path": list, "value": value }),
                json!({ "op": "add", "path": format!("{list}/1/weight"), "value": 75 }),
                json!({ "op": "add", "path": format!("{list}/0/weight"), "value": 25 }),
            ]
        );
        assert_eq!(split.change(percent("50%")).len(), 6, "both places");
        let half = Split {
            forks: vec![fork(None, None)],
            ..split
        };
        assert_eq!(
            half.change(percent("50%")).len(),
            3,
            "what is not written is not known to stay"
        );
    }

    #[test]
    fn weights_that_make_no_sense_are_refused_before_anything_is_changed() {
        assert_eq!(split(Grain::Ratio, &[(3, 4)]).check(), Ok(()));
        assert_eq!(split(Grain::Percent, &[(60, 40)]).check(), Ok(()));
        let zero = split(Grain::Ratio, &[(1, 0), (0, 0)]).check().unwrap_err();
        assert!(zero.to_string().contains("more than 0"), "{zero}");
        let much = split(Grain::Percent, &[(60, 60)]).check().unwrap_err();
        assert!(
            much.to_string().contains("120") && much.to_string().contains("must be 100"),
            "{much}"
        );
        let mut third = split(Grain::Ratio, &[(60, 40)]);
        third.forks[0]
            .backends
            .push(json!({ "name": "other", "weight": 0 }));
        assert_eq!(third.check(), Ok(()));
        third.forks[0].backends.push(json!({ "name": "mirror" }));
        let third = third.check().unwrap_err();
        assert!(third.to_string().contains("mirror"), "{third}");
    }
}
