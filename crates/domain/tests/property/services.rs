//! Specifications of services, at random.

#[path = "analysis.rs"]
mod analysis;
#[path = "traffic.rs"]
mod traffic;

use domain::ids::{EnvironmentName, ServiceName};
use domain::spec::*;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::strategy::Strategy;

fn name() -> impl Strategy<Value = ServiceName> {
    "[a-z][a-z0-9-]{0,20}[a-z0-9]".prop_map(|text| text.parse().expect("a DNS label"))
}

/// Text that YAML finds hard: numbers, truth values, quotes, line breaks.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 ./:#@!&*?|>%'\"{}\\[\\],-]{0,20}[a-zA-Z0-9]",
        prop::sample::select(vec![
            "no",
            "true",
            "null",
            "~",
            "12",
            "1.5",
            "0x1f",
            "2020-01-01",
            "a: b",
            "- x",
            "é\n",
            "\tx"
        ])
        .prop_map(str::to_owned),
    ]
}

fn path() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9._-]{0,8}(/[a-z][a-z0-9._-]{0,8}){0,2}"
}

pub(super) fn time() -> impl Strategy<Value = TimeSpan> {
    (0..1_000_000_000_u64).prop_map(TimeSpan::from_millis)
}

pub(super) fn percent() -> impl Strategy<Value = Percent> {
    (0..=1_000_000_u32).prop_map(|parts| {
        format!("{}.{:04}%", parts / 10_000, parts % 10_000)
            .parse()
            .expect("a percentage")
    })
}

fn variables() -> impl Strategy<Value = indexmap::IndexMap<String, String>> {
    btree_map("[A-Za-z_][A-Za-z0-9_.]{0,8}", text(), 0..4).prop_map(|map| map.into_iter().collect())
}

fn resources() -> impl Strategy<Value = Resources> {
    (of(0..64_000_u32), of(any::<u64>()), of(1..4_194_304_u32)).prop_map(|(cpus, memory, pids)| {
        Resources {
            cpus: cpus.map(Cpus::from_thousandths),
            memory: memory.map(Memory::from_bytes),
            pids,
        }
    })
}

fn secret() -> impl Strategy<Value = SecretReference> {
    prop_oneof![
        "[A-Z_][A-Z0-9_]{0,8}".prop_map(SecretReference::Env),
        "(/[a-z]{1,5}){1,3}".prop_map(SecretReference::File),
        ("[a-z]{1,5}", "[a-z]{1,5}", "[a-z.]{1,5}").prop_map(|(namespace, name, key)| {
            SecretReference::Kubernetes {
                namespace,
                name,
                key,
            }
        }),
    ]
}

fn ready() -> impl Strategy<Value = Readiness> {
    let probe = prop_oneof![
        ("/[a-z]{0,5}", 1..=u16::MAX).prop_map(|(path, port)| Probe::Http {
            path,
            port: Some(port)
        }),
        (1..=u16::MAX).prop_map(|port| Probe::Tcp { port }),
        text().prop_map(Probe::Command),
    ];
    (probe, of(time())).prop_map(|(probe, timeout)| Readiness { probe, timeout })
}

fn build() -> impl Strategy<Value = Build> {
    let container = prop_oneof![
        text().prop_map(BuildContainer::Image),
        path().prop_map(BuildContainer::Dockerfile)
    ];
    (
        container,
        vec(text(), 0..4),
        vec(text(), 0..3),
        variables(),
        of(time()),
        resources(),
    )
        .prop_map(|(container, run, cache, env, timeout, resources)| Build {
            container,
            run,
            cache,
            env,
            timeout,
            resources,
        })
}

fn dependencies() -> impl Strategy<Value = Dependencies> {
    let service = (text(), variables(), vec(text(), 0..3), of(ready())).prop_map(
        |(image, env, command, ready)| DependencyService {
            image,
            env,
            command,
            ready,
        },
    );
    prop_oneof![
        // Longer than the names of services here, so that none is that of the service under test.
        btree_map("[a-z]{1,8}-that-is-a-dependency", service, 0..3)
            .prop_map(|map| Dependencies::Services(map.into_iter().collect())),
        path().prop_map(Dependencies::Compose),
    ]
}

fn tests() -> impl Strategy<Value = Tests> {
    let unit = (
        vec(text(), 1..3),
        vec(path(), 0..3),
        variables(),
        of(time()),
        text(),
        resources(),
    )
        .prop_map(|(run, reports, env, timeout, image, resources)| UnitTest {
            run,
            reports,
            env,
            timeout,
            image: Some(image),
            resources,
        });
    let functional = (
        of(dependencies()),
        variables(),
        of(ready()),
        of(text()),
        vec(text(), 0..3),
        of(time()),
    )
        .prop_map(
            |(dependencies, env, ready, image, run, timeout)| FunctionalTest {
                dependencies,
                env,
                ready,
                image,
                run,
                reports: Vec::new(),
                timeout,
            },
        );
    let integration = (
        vec(text(), 1..3),
        text(),
        variables(),
        vec(path(), 0..3),
        of(time()),
    )
        .prop_map(|(run, image, env, reports, timeout)| IntegrationTest {
            run,
            image: Some(image),
            env,
            reports,
            timeout,
        });
    let load = (
        "/[a-z/]{0,8}",
        1..1_000_000_u32,
        time(),
        of(time()),
        percent(),
    )
        .prop_map(|(path, rate, duration, p99, errors)| LoadTest {
            path,
            rate,
            duration,
            p99,
            errors,
        });
    (of(unit), of(functional), of(integration), of(load)).prop_map(
        |(unit, functional, integration, load)| Tests {
            unit,
            functional,
            integration,
            load,
        },
    )
}

fn strategy() -> impl Strategy<Value = domain::spec::Strategy> {
    use domain::spec::Strategy as S;
    let analysis = of(analysis::analysis()).boxed();
    let batch = prop_oneof![
        (0..=1000_u32).prop_map(Batch::Count),
        percent().prop_map(Batch::Share)
    ];
    let beside = (
        of(traffic::router().prop_map(Box::new)),
        of(traffic::testers()),
        of(traffic::sticky()),
    )
        .boxed();
    let between = prop_oneof![
        time().prop_map(CanaryStep::Bake),
        Just(CanaryStep::Analyse),
        Just(CanaryStep::Pause)
    ];
    prop_oneof![
        (1..=1000_u32, batch).prop_map(|(surge, max_unavailable)| {
            S::Rolling(Rolling {
                max_surge: Batch::Count(surge),
                max_unavailable,
                min_ready: None,
            })
        }),
        (time(), time(), analysis.clone(), traffic::on_failure()).prop_map(
            |(monitor, keep_old, analysis, on_failure)| {
                S::BlueGreen(BlueGreen {
                    monitor,
                    keep_old,
                    analysis,
                    on_failure,
                })
            }
        ),
        (
            vec(between, 0..4),
            0..100_u32,
            analysis,
            traffic::on_failure(),
            beside,
        )
            .prop_map(
                |(mut steps, first, analysis, on_failure, (router, testers, sticky))| {
                    steps.insert(0, CanaryStep::Weight(Percent::of(first)));
                    steps.push(CanaryStep::Weight(Percent::ALL));
                    S::Canary(Canary {
                        steps,
                        analysis,
                        on_failure,
                        router,
                        testers,
                        sticky,
                    })
                }
            ),
    ]
    .boxed()
}

fn env() -> impl Strategy<Value = indexmap::IndexMap<String, EnvValue>> {
    let value = prop_oneof![
        text().prop_map(EnvValue::Text),
        secret().prop_map(|secret| EnvValue::Secret { secret })
    ];
    btree_map("[A-Z_][A-Z0-9_]{0,8}", value, 0..4).prop_map(|map| map.into_iter().collect())
}

fn deploy() -> impl Strategy<Value = Deploy> {
    let overrides = (of(1..=1000_u32), env(), of(resources()), of(strategy())).prop_map(
        |(replicas, env, resources, strategy)| EnvironmentOverrides {
            replicas,
            env,
            resources,
            strategy,
        },
    );
    let environments = btree_map("[a-z]{1,8}", overrides, 0..3).prop_map(|map| {
        map.into_iter()
            .map(|(name, o)| (name.parse::<EnvironmentName>().expect("a DNS label"), o))
            .collect()
    });
    (
        (
            of(1..=u16::MAX),
            1..=1000_u32,
            of(ready()),
            env(),
            resources(),
            strategy(),
        ),
        (of(path()), of(time()), of(time()), environments),
    )
        .prop_map(
            |(
                (port, replicas, ready, env, resources, strategy),
                (manifests, drain, deadline, environments),
            )| Deploy {
                port,
                replicas,
                ready,
                env,
                resources,
                strategy,
                manifests,
                drain,
                deadline,
                environments,
            },
        )
}

fn image() -> impl Strategy<Value = ImageBuild> {
    let secrets = btree_map("[a-z]{1,8}", secret(), 0..3).prop_map(|map| map.into_iter().collect());
    (path(), path(), of(text()), variables(), secrets, of(time())).prop_map(
        |(dockerfile, context, target, args, secrets, timeout)| ImageBuild {
            dockerfile,
            context,
            target,
            args,
            secrets,
            timeout,
        },
    )
}

/// A specification that uses any of the keys.
pub(crate) fn service() -> impl Strategy<Value = ServiceSpec> {
    let contracts =
        (vec(path(), 0..3), vec((name(), path()), 0..3)).prop_map(|(provides, consumes)| {
            Contracts {
                provides,
                consumes: consumes.into_iter().collect(),
            }
        });
    (
        name(),
        of(text()),
        vec(name(), 0..3),
        of(build()),
        tests(),
        image(),
        of(deploy()),
        contracts,
    )
        .prop_map(
            |(service, team, needs, build, test, image, deploy, contracts)| ServiceSpec {
                service,
                team,
                needs,
                build,
                test,
                image,
                deploy,
                contracts,
            },
        )
}
