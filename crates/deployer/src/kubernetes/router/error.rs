//! Why a route can't split the traffic.

/// Why a route can't split the traffic, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("the cluster knows no {kind} of {group}: {install}")]
    NotInstalled {
        kind: &'static str,
        group: &'static str,
        install: &'static str,
    },
    #[error("there is no {route} in {namespace}; create it, or correct `router` in slipway.yaml")]
    Absent { route: String, namespace: String },
    #[error(
        "no rule of {route} leads to both {stable} and {canary}; those that there are lead to {found}; let one lead to \
         both, with the weights 100 and 0"
    )]
    NoFork {
        route: String,
        stable: String,
        canary: String,
        found: String,
    },
    #[error(
        "{route} has no HTTP routes; add one that leads to both versions, with the weights 100 and 0"
    )]
    NoHttp { route: String },
    #[error(
        "{route} has {count} HTTP routes ({found}); name those that split the traffic with `routes`"
    )]
    Several {
        route: String,
        count: usize,
        found: String,
    },
    #[error("{route} has no HTTP route {wanted:?}; it has {found}")]
    Unnamed {
        route: String,
        wanted: String,
        found: String,
    },
    #[error("{rule} has no subset {subset:?}; it has {found}")]
    NoSubset {
        rule: String,
        subset: String,
        found: String,
    },
    #[error(
        "{route} leads to something else, too: {backend}; give it the weight 0, or a rule of its own: a canary's share \
         is out of two"
    )]
    Third { route: String, backend: String },
    #[error(
        "the weights of {route} make no sense: {stable} for the version that serves and {canary} for the canary are \
         {sum}, which must be {must}; write 100 and 0"
    )]
    Sum {
        route: String,
        stable: u64,
        canary: u64,
        sum: u64,
        must: &'static str,
    },
    #[error(
        "{route} was changed by somebody else again and again, while Slipway tried to set its weights"
    )]
    Contended { route: String },
}
