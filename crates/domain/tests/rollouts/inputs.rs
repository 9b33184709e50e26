//! What happens to a rollout.

use domain::rollout::{self, OnFailure, Placement, Plan, Router, Verdict};
use domain::spec::{
    Analysis, Batch, BlueGreen, Canary, CanaryStep, Percent, Rolling, Strategy as Way, TimeSpan,
};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A rollout and all that happens to it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) beginning: Beginning,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) outlook: Outlook,
}

/// How it begins.
#[derive(Debug, Clone)]
pub(crate) struct Beginning {
    pub(crate) plan: Plan,
    pub(crate) replicas: u32,
    pub(crate) stable_replicas: u32,
    pub(crate) router: Router,
    /// The router measures in whole percent.
    pub(crate) is_coarse: bool,
}

/// What happens between two looks.
#[derive(Debug, Clone)]
pub(crate) struct Tick {
    /// By bit: which replicas answer.
    pub(crate) candidate_up: u8,
    pub(crate) stable_up: u8,
    /// Replicas that vanish from each set.
    pub(crate) vanish: (bool, bool),
    /// How many replicas of each set may come or go until the next look.
    pub(crate) pace: u32,
    pub(crate) router_obeys: bool,
    pub(crate) is_idle: bool,
    pub(crate) failed: bool,
    /// Another deployer goes on from here.
    pub(crate) restarts: bool,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) request: Option<Request>,
    pub(crate) seconds: u32,
}

/// What a person asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request {
    Pause,
    Resume,
    Promote { full: bool },
    Abort,
    Retry,
}

/// What holds when nothing unexpected happens any more.
#[derive(Debug, Clone)]
pub(crate) struct Outlook {
    pub(crate) candidate_comes_up: bool,
    pub(crate) stable_comes_up: bool,
    /// What the analysis finds, if it finds anything.
    pub(crate) verdict: Option<Verdict>,
    /// What a person does where one is asked.
    pub(crate) answer: Request,
}

impl Outlook {
    pub(crate) fn good() -> Self {
        Self {
            candidate_comes_up: true,
            stable_comes_up: true,
            verdict: Some(Verdict::Pass),
            answer: Request::Resume,
        }
    }
}

impl Beginning {
    pub(crate) fn placement(run: &str, order: u64) -> Placement {
        Placement {
            run: run.parse().expect("a token"),
            origin: run.parse().expect("a token"),
            order,
            version: format!("{order}.0.0"),
            repository: "registry/a".to_owned(),
            digest: format!("sha256:{order:064}").parse().expect("a digest"),
            is_rollback: false,
            at: Timestamp::UNIX_EPOCH,
        }
    }
}

fn time() -> impl Strategy<Value = TimeSpan> {
    (0..120_u64).prop_map(TimeSpan::from_secs)
}

fn canary_step() -> impl Strategy<Value = CanaryStep> {
    prop_oneof![
        3 => (1..100_u32).prop_map(|weight| CanaryStep::Weight(Percent::of(weight))),
        2 => time().prop_map(CanaryStep::Bake),
        1 => Just(CanaryStep::Analyse),
        1 => Just(CanaryStep::Pause),
    ]
}

fn batch() -> impl Strategy<Value = Batch> {
    prop_oneof![
        (0..4_u32).prop_map(Batch::Count),
        (0..=100_u32).prop_map(|share| Batch::Share(Percent::of(share))),
    ]
}

fn way() -> impl Strategy<Value = Way> {
    let analysis = || option::of(Just(Analysis::default()));
    prop_oneof![
        (vec(canary_step(), 0..7), analysis()).prop_map(|(steps, analysis)| {
            Way::Canary(Canary {
                steps,
                analysis,
                ..Canary::default()
            })
        }),
        (time(), time(), analysis()).prop_map(|(monitor, keep_old, analysis)| {
            Way::BlueGreen(BlueGreen {
                monitor,
                keep_old,
                analysis,
                ..BlueGreen::default()
            })
        }),
        (batch(), batch()).prop_map(|(max_surge, max_unavailable)| {
            Way::Rolling(Rolling {
                max_surge,
                max_unavailable,
                ..Rolling::default()
            })
        }),
    ]
}

pub(crate) fn beginning() -> impl Strategy<Value = Beginning> {
    let beginning = prop_oneof![
        6 => Just(rollout::Beginning::Older),
        1 => Just(rollout::Beginning::TakenBack),
        1 => Just(rollout::Beginning::Nothing),
    ];
    let router = prop_oneof![Just(Router::Exact), Just(Router::ByReplicas)];
    (
        way(),
        beginning,
        1..8_u32,
        1..8_u32,
        router,
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(way, beginning, replicas, stable, router, [is_coarse, holds, as_many])| Beginning {
                plan: Plan::compile(&way, beginning).on_failure(if holds {
                    OnFailure::Hold
                } else {
                    OnFailure::Rollback
                }),
                replicas,
                stable_replicas: match beginning {
                    rollout::Beginning::Nothing => 0,
                    _ if as_many => replicas,
                    _ => stable,
                },
                router,
                is_coarse,
            },
        )
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        6 => Just(Verdict::Pass),
        2 => Just(Verdict::NoData),
        1 => Just(Verdict::Inconclusive),
        1 => Just(Verdict::Fail),
        1 => Just(Verdict::Error),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        2 => Just(Request::Pause),
        4 => Just(Request::Resume),
        2 => any::<bool>().prop_map(|full| Request::Promote { full }),
        1 => Just(Request::Abort),
        1 => Just(Request::Retry),
    ]
}

fn tick() -> impl Strategy<Value = Tick> {
    let mostly = |weight| prop::bool::weighted(weight);
    // Mostly up, sometimes some of them, seldom none.
    let up = || prop_oneof![6 => Just(u8::MAX), 3 => any::<u8>(), 1 => Just(0)];
    (
        (up(), up()),
        (mostly(0.05), mostly(0.05)),
        0..4_u32,
        (mostly(0.8), mostly(0.7), mostly(0.02), mostly(0.1)),
        option::weighted(0.2, verdict()),
        option::weighted(0.1, request()),
        1..60_u32,
    )
        .prop_map(
            |((candidate_up, stable_up), vanish, pace, flags, verdict, request, seconds)| {
                let (router_obeys, is_idle, failed, restarts) = flags;
                Tick {
                    candidate_up,
                    stable_up,
                    vanish,
                    pace,
                    router_obeys,
                    is_idle,
                    failed,
                    restarts,
                    verdict,
                    request,
                    seconds,
                }
            },
        )
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let outlook = (any::<[bool; 2]>(), option::of(verdict()), request()).prop_map(
        |([candidate_comes_up, stable_comes_up], verdict, answer)| Outlook {
            candidate_comes_up,
            stable_comes_up,
            verdict,
            answer,
        },
    );
    (beginning(), vec(tick(), 0..80), outlook).prop_map(|(beginning, ticks, outlook)| Case {
        beginning,
        ticks,
        outlook,
    })
}
