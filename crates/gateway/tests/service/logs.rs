//! The output of stages.

use std::time::Duration;

use bus::LogStream;
use domain::stage::{Failure, Outcome};
use proto::gateway::v1::{LogLine, ReadLogsRequest};
use tokio_stream::StreamExt as _;

use crate::harness::{TestGateway, small_service};

fn texts(lines: &[LogLine]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| line.text.clone()).collect()
}

async fn read(gateway: &TestGateway, run: &str, stage: &str, follow: bool) -> Vec<LogLine> {
    let request = ReadLogsRequest {
        run_id: run.to_owned(),
        stage: stage.to_owned(),
        follow,
    };
    let mut stream = gateway
        .runs()
        .read_logs(request)
        .await
        .unwrap()
        .into_inner();
    let mut lines = Vec::new();
    while let Some(batch) = stream.next().await {
        lines.extend(batch.unwrap().lines);
    }
    lines
}

async fn write(gateway: &TestGateway, run: &str, stage: &str, text: &[u8]) {
    let writer = gateway.bus.logs().writer(run, stage).unwrap();
    writer.write(LogStream::Out, text).await.unwrap();
    writer.finish().await.unwrap();
}

#[tokio::test]
async fn followed_logs_of_all_stages_come_as_they_are_written_and_end_with_the_run() {
    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    let following = read(&gateway, &run, "", true);
    let working = async {
        write(&gateway, &run, "image", b"one\n\xff\xfe bytes\n").await;
        gateway.do_stages(&run, &["image"]).await;
        write(&gateway, &run, "publish", b"two\n").await;
        gateway
            .do_stage(
                &run,
                "publish",
                Outcome::Failed(Box::new(Failure::because("red"))),
            )
            .await;
    };
    let (lines, ()) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(30), following),
        working
    );
    let lines = lines.expect("the stream ends with the run");
    assert_eq!(
        texts(&lines),
        [b"one".to_vec(), b"\xff\xfe bytes".to_vec(), b"two".to_vec()]
    );
    assert_eq!(lines[2].stage, "publish");
    assert!(lines[0].at.is_some() && !lines[0].is_error_stream);
    assert_eq!(texts(&read(&gateway, &run, "", false).await), texts(&lines));
    assert_eq!(
        texts(&read(&gateway, &run, "publish", false).await),
        [b"two".to_vec()]
    );
}

#[tokio::test]
async fn one_stage_is_followed_over_its_attempts() {
    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    let following = read(&gateway, &run, "image", true);
    let broken = Outcome::Errored {
        failure: Box::new(Failure::because("the engine is gone")),
        retryable: true,
    };
    let working = async {
        write(&gateway, &run, "image", b"first attempt\n").await;
        gateway.do_stage(&run, "image", broken).await;
        write(&gateway, &run, "image", b"second attempt\n").await;
        write(&gateway, &run, "publish", b"another stage\n").await;
        gateway.do_stages(&run, &["image"]).await;
    };
    let (lines, ()) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(30), following),
        working
    );
    assert_eq!(
        texts(&lines.expect("it ends")),
        [b"first attempt".to_vec(), b"second attempt".to_vec()]
    );
}

#[tokio::test]
async fn logs_of_a_stage_that_is_none_name_the_ones_there_are() {
    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    let request = ReadLogsRequest {
        run_id: run,
        stage: "immage".to_owned(),
        follow: false,
    };
    let status = gateway.runs().read_logs(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(
        status.message().contains("image, publish"),
        "{}",
        status.message()
    );
}
