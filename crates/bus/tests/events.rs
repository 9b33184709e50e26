//! The event store against a real server.

use std::time::Duration;

use bus::aggregates::Log;
use bus::{
    AppendError, Bus, Durability, EventFilter, EventSubject, Followed, Follower, From, StoredEvent,
};
use bytes::Bytes;
use domain::run::Run;

use crate::bed::{bed, connect, soon};

#[path = "support/bed.rs"]
mod bed;

fn run(id: &str) -> EventSubject {
    EventSubject::Run(id.into())
}

async fn append(
    bus: &Bus,
    subject: &EventSubject,
    expected: u64,
    id: &str,
) -> Result<u64, AppendError> {
    bus.events()
        .append(subject, expected, id, Bytes::copy_from_slice(id.as_bytes()))
        .await
}

async fn next_event(follower: &mut Follower) -> StoredEvent {
    loop {
        if let Followed::Event(event) = soon("an event comes", follower.next()).await {
            return event;
        }
    }
}

fn ids(events: &[StoredEvent]) -> Vec<String> {
    events
        .iter()
        .map(|event| String::from_utf8_lossy(&event.payload).into_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_changes_is_woken_by_what_is_newer_than_known_and_by_nothing_else() {
    let (_server, bus) = bed().await;
    let log: Log<Run> = Log::new(bus.events());
    let mut changes = log.changes(&"r".parse().unwrap()).await.unwrap();
    let known = append(&bus, &run("r"), 0, "known").await.unwrap();
    append(&bus, &run("other"), 0, "elsewhere").await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), changes.after(known)).await;
    assert!(early.is_err(), "nothing is newer");
    append(&bus, &run("r"), known, "newer").await.unwrap();
    soon("the change is told", changes.after(known)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_server_is_seen_to_sync_every_message() {
    let (_server, bus) = bed().await;
    assert_eq!(bus.durability(), Durability::Always);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_appenders_exactly_one_wins_each_place_and_both_get_all_in() {
    const EACH: usize = 30;
    let (server, bus) = bed().await;
    let buses = [bus.clone(), connect(&server).await];
    let writers = buses
        .into_iter()
        .enumerate()
        .map(|(writer, bus)| async move {
            let (mut last, mut conflicts) = (0, 0);
            for event in 0..EACH {
                loop {
                    match append(&bus, &run("r"), last, &format!("{writer}-{event}")).await {
                        Ok(sequence) => break last = sequence,
                        Err(AppendError::Conflict { .. }) => {
                            conflicts += 1;
                            last = bus
                                .events()
                                .load(&run("r"), last)
                                .await
                                .unwrap()
                                .last()
                                .unwrap()
                                .sequence;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            conflicts
        });
    let conflicts: usize = futures::future::join_all(writers).await.into_iter().sum();
    let events = bus.events().load(&run("r"), 0).await.unwrap();
    assert_eq!(events.len(), 2 * EACH);
    assert!(conflicts > 0, "the writers never met");
    for writer in 0..2 {
        let own: Vec<String> = ids(&events)
            .into_iter()
            .filter(|id| id.starts_with(&format!("{writer}-")))
            .collect();
        assert_eq!(
            own,
            (0..EACH)
                .map(|event| format!("{writer}-{event}"))
                .collect::<Vec<_>>()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_repeated_after_a_lost_acknowledgement_succeeds_with_the_same_sequence() {
    let (mut server, bus) = bed().await;
    let first = append(&bus, &run("r"), 0, "a").await.unwrap();
    assert_eq!(append(&bus, &run("r"), 0, "a").await.unwrap(), first);
    append(&bus, &run("r"), first, "b").await.unwrap();
    assert_eq!(
        append(&bus, &run("r"), 0, "a").await.unwrap(),
        first,
        "others may have appended since"
    );
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    assert_eq!(
        append(&bus, &run("r"), 0, "a").await.unwrap(),
        first,
        "a restart changes nothing"
    );
    assert!(matches!(
        append(&bus, &run("r"), 0, "c").await,
        Err(AppendError::Conflict { expected: 0, .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_with_an_id_that_the_server_no_longer_remembers_is_recognised() {
    let (server, bus) = bed().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    // Stored without the server's duplicate check, as after its window: the header is there, the memory is not.
    let jetstream = async_nats::jetstream::new(client);
    let mut config = jetstream
        .get_stream("slipway-events")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    config.duplicate_window = Duration::from_millis(100);
    jetstream.update_stream(config).await.unwrap();
    let first = append(&bus, &run("r"), 0, "a").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(append(&bus, &run("r"), 0, "a").await.unwrap(), first);
    assert_eq!(bus.events().load(&run("r"), 0).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn load_gives_what_came_after_and_only_of_its_list() {
    let (_server, bus) = bed().await;
    let first = append(&bus, &run("r"), 0, "a").await.unwrap();
    append(&bus, &run("other"), 0, "x").await.unwrap();
    append(&bus, &run("r"), first, "b").await.unwrap();
    assert_eq!(
        ids(&bus.events().load(&run("r"), 0).await.unwrap()),
        ["a", "b"]
    );
    assert_eq!(
        ids(&bus.events().load(&run("r"), first).await.unwrap()),
        ["b"]
    );
    assert!(bus.events().load(&run("none"), 0).await.unwrap().is_empty());
    assert_eq!(bus.events().last_sequence().await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_stay_within_their_own_list() {
    let (_server, bus) = bed().await;
    append(&bus, &run("victim"), 0, "v").await.unwrap();
    for name in [
        "*",
        ">",
        "victim.x",
        "a b\r\nPUB slipway.run.victim 0\r\n",
        "ü\0",
    ] {
        assert!(
            bus.events().load(&run(name), 0).await.unwrap().is_empty(),
            "{name:?}"
        );
        append(&bus, &run(name), 0, name).await.unwrap();
        let events = bus.events().load(&run(name), 0).await.unwrap();
        assert_eq!(ids(&events), [name]);
        assert_eq!(events[0].subject, run(name));
    }
    assert!(append(&bus, &run(""), 0, "e").await.is_err());
    assert!(
        append(&bus, &run(&"x".repeat(10_000)), 0, "e")
            .await
            .is_err()
    );
    assert_eq!(
        ids(&bus.events().load(&run("victim"), 0).await.unwrap()),
        ["v"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_every_event_once_and_in_order_over_two_crashes_of_the_server() {
    const EVENTS: u64 = 60;
    let (mut server, bus) = bed().await;
    let appender = bus.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let mut last = 0;
        for event in 0..EVENTS {
            let id = event.to_string();
            while let Err(error) = append(&appender, &run("r"), last, &id).await {
                assert!(
                    matches!(error, AppendError::Bus(ref error) if error.is_retryable()),
                    "{error}"
                );
            }
            last = appender
                .events()
                .load(&run("r"), last)
                .await
                .map_or(last + 1, |events| events[0].sequence);
        }
    });
    let mut follower = bus
        .events()
        .follow(&EventFilter::Runs, From::Beginning)
        .await
        .unwrap();
    let mut seen = Vec::new();
    for event in 0..EVENTS {
        seen.push(next_event(&mut follower).await);
        if event == 15 || event == 40 {
            server.kill().await.unwrap();
            server.restart().await.unwrap();
        }
    }
    soon("all is appended", tasks.join_all()).await;
    assert_eq!(
        ids(&seen),
        (0..EVENTS)
            .map(|event| event.to_string())
            .collect::<Vec<_>>()
    );
    assert!(seen.is_sorted_by(|a, b| a.sequence < b.sequence));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_says_once_when_it_has_seen_what_was_there() {
    let (_server, bus) = bed().await;
    append(&bus, &run("r"), 0, "a").await.unwrap();
    append(&bus, &EventSubject::Release("s".into()), 0, "b")
        .await
        .unwrap();
    let mut runs = bus
        .events()
        .follow(&EventFilter::Runs, From::Beginning)
        .await
        .unwrap();
    assert!(matches!(
        soon("the event comes", runs.next()).await,
        Followed::Event(_)
    ));
    assert_eq!(
        soon("it is caught up", runs.next()).await,
        Followed::CaughtUp
    );
    let mut rollouts = bus
        .events()
        .follow(&EventFilter::Rollouts, From::Beginning)
        .await
        .unwrap();
    assert_eq!(
        soon("there is nothing", rollouts.next()).await,
        Followed::CaughtUp
    );
    let mut now = bus
        .events()
        .follow(&EventFilter::All, From::Now)
        .await
        .unwrap();
    assert_eq!(soon("now is now", now.next()).await, Followed::CaughtUp);
    let mut after = bus
        .events()
        .follow(&EventFilter::All, From::After(1))
        .await
        .unwrap();
    assert_eq!(next_event(&mut after).await.sequence, 2);
    append(&bus, &run("new"), 0, "c").await.unwrap();
    assert_eq!(next_event(&mut runs).await.subject, run("new"));
    assert_eq!(next_event(&mut now).await.sequence, 3);
    assert!(
        bus.events()
            .follow(&EventFilter::All, From::After(99))
            .await
            .is_err(),
        "the server lost events"
    );
}
