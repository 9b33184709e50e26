//! Logs against a real server.

use std::time::{Duration, Instant};

use bus::{Bus, LogItem, LogLine, LogReader, LogStream};

use crate::bed::{bed, soon};

#[path = "support/bed.rs"]
mod bed;

async fn read_all(mut reader: LogReader) -> Vec<LogItem> {
    let mut items = Vec::new();
    while let Some(item) = soon("the log goes on", reader.next()).await {
        items.push(item);
    }
    items
}

async fn stored(bus: &Bus, stage: Option<&str>) -> Vec<LogItem> {
    read_all(
        bus.logs()
            .read("run", stage, false)
            .await
            .expect("the log can be read"),
    )
    .await
}

fn lines(items: &[LogItem]) -> Vec<&LogLine> {
    items
        .iter()
        .filter_map(|item| {
            if let LogItem::Line(line) = item {
                Some(line)
            } else {
                None
            }
        })
        .collect()
}

/// The printed bytes of one stream, put together again.
fn text(items: &[LogItem], stream: LogStream) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines(items)
        .into_iter()
        .filter(|line| line.stream == stream)
    {
        text.extend_from_slice(&line.bytes);
        if !line.continued {
            text.push(b'\n');
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_live_gives_the_same_as_reading_later() {
    let (_server, bus) = bed().await;
    let writer = bus.logs().writer("run", "unit test").unwrap();
    writer.write(LogStream::Out, b"before\n").await.unwrap();
    let live = bus
        .logs()
        .read("run", Some("unit test"), true)
        .await
        .unwrap();
    let (live, ()) = tokio::join!(read_all(live), async {
        for number in 0..500 {
            writer
                .write(LogStream::Out, format!("line {number}\n").as_bytes())
                .await
                .unwrap();
            if number % 50 == 0 {
                writer
                    .write(LogStream::Err, b"warning: \xff\0")
                    .await
                    .unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                writer.write(LogStream::Err, b"bad\r\n").await.unwrap();
            }
        }
        writer.finish().await.unwrap();
    });
    let later = stored(&bus, Some("unit test")).await;
    assert_eq!(live, later);
    assert_eq!(lines(&live)[0].bytes, "before");
    let expected: String = (0..500).map(|number| format!("line {number}\n")).collect();
    assert_eq!(
        text(&live, LogStream::Out),
        [b"before\n", expected.as_bytes()].concat()
    );
    assert_eq!(
        text(&live, LogStream::Err),
        b"warning: \xff\0bad\r\n".repeat(10)
    );
    assert_eq!(
        live.last(),
        Some(&LogItem::End {
            stage: "unit test".into()
        })
    );
    assert!(
        lines(&live)
            .iter()
            .all(|line| line.stage == "unit test" && line.time.as_second() > 1_700_000_000)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_seen_soon_after_it_was_printed() {
    let (_server, bus) = bed().await;
    let writer = bus.logs().writer("run", "s").unwrap();
    let mut reader = bus.logs().read("run", None, true).await.unwrap();
    writer
        .write(LogStream::Out, b"hello\nname? ")
        .await
        .unwrap();
    for (expected, continued) in [("hello", false), ("name? ", true)] {
        let Some(LogItem::Line(line)) = soon("the line comes", reader.next()).await else {
            panic!("no line")
        };
        assert_eq!(
            (&line.bytes[..], line.continued),
            (expected.as_bytes(), continued)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_ten_megabytes_comes_back_whole() {
    let (_server, bus) = bed().await;
    let mut line: Vec<u8> = (0..10_000_000u32)
        .map(|i| (i % 251) as u8)
        .filter(|&byte| byte != b'\n')
        .collect();
    line.push(b'\n');
    let writer = bus.logs().writer("run", "s").unwrap();
    writer.write(LogStream::Out, &line).await.unwrap();
    writer.write(LogStream::Out, b"next\n").await.unwrap();
    writer.finish().await.unwrap();
    let items = stored(&bus, Some("s")).await;
    assert!(text(&items, LogStream::Out) == [&line, b"next\n".as_slice()].concat());
    assert!(lines(&items).len() < 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_lines_are_kept_in_order() {
    let (_server, bus) = bed().await;
    let writer = bus.logs().writer("run", "s").unwrap();
    let began = Instant::now();
    for number in 0..100_000 {
        writer
            .write(
                LogStream::Out,
                format!("this is a line of an ordinary log, number {number}\n").as_bytes(),
            )
            .await
            .unwrap();
    }
    writer.finish().await.unwrap();
    println!("wrote 100,000 lines in {:?}", began.elapsed());
    let items = stored(&bus, Some("s")).await;
    println!("wrote and read 100,000 lines in {:?}", began.elapsed());
    assert_eq!(lines(&items).len(), 100_000);
    for (number, line) in lines(&items).into_iter().enumerate() {
        assert!(line.bytes.ends_with(format!(" {number}").as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_limit_a_stage_has_one_notice_and_an_end() {
    let (_server, bus) = bed().await;
    let writer = bus
        .logs()
        .with_stage_limit(100_000)
        .writer("run", "s")
        .unwrap();
    for _ in 0..1000 {
        writer
            .write(LogStream::Out, &[[b'x'; 999].as_slice(), b"\n"].concat())
            .await
            .unwrap();
    }
    writer.finish().await.unwrap();
    let items = stored(&bus, Some("s")).await;
    assert_eq!(
        lines(&items)
            .iter()
            .map(|line| line.bytes.len())
            .sum::<usize>(),
        100_000
    );
    let (s, end) = ("s".to_owned(), LogItem::End { stage: "s".into() });
    assert_eq!(
        items[items.len() - 2..],
        [LogItem::Truncated { stage: s }, end]
    );
    assert_eq!(
        items
            .iter()
            .filter(|item| matches!(item, LogItem::Truncated { .. }))
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_run_holds_all_stages_and_of_a_stage_only_its_own() {
    let (_server, bus) = bed().await;
    for stage in ["a", "b"] {
        let writer = bus.logs().writer("run", stage).unwrap();
        writer
            .write(LogStream::Out, stage.as_bytes())
            .await
            .unwrap();
        writer.finish().await.unwrap();
    }
    let other = bus.logs().writer("other", "a").unwrap();
    other.write(LogStream::Out, b"other").await.unwrap();
    other.finish().await.unwrap();
    assert_eq!(text(&stored(&bus, None).await, LogStream::Out), b"a\nb\n");
    assert_eq!(text(&stored(&bus, Some("b")).await, LogStream::Out), b"b\n");
    assert!(stored(&bus, Some("*")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_server_loses_and_repeats_no_line() {
    let (mut server, bus) = bed().await;
    let writer = bus.logs().writer("run", "s").unwrap();
    let live = bus.logs().read("run", Some("s"), true).await.unwrap();
    let (live, (), ()) = tokio::join!(
        read_all(live),
        async {
            for number in 0..2000 {
                writer
                    .write(LogStream::Out, format!("{number}\n").as_bytes())
                    .await
                    .unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            writer.finish().await.unwrap();
        },
        async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            server.kill().await.unwrap();
            server.restart().await.unwrap();
        }
    );
    let expected: String = (0..2000).map(|number| format!("{number}\n")).collect();
    assert!(text(&live, LogStream::Out) == expected.as_bytes());
    assert_eq!(live, stored(&bus, Some("s")).await);
}
