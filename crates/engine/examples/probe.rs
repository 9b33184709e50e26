//! probe
use std::{collections::BTreeMap, time::{Duration, Instant}};
use engine::*;
use tokio_util::sync::CancellationToken;
async fn run(e: &Engine, s: StepSpec, show: bool) -> (StepEnd, usize) {
    let (tx, mut rx) = tokio::sync::mpsc::channel::<OutputChunk>(64);
    let c = CancellationToken::new();
    let (end, n) = tokio::join!(e.run_step(s, tx, &c), async { let mut n = 0; while let Some(c) = rx.recv().await { n += c.bytes.len(); if show { print!("{}", String::from_utf8_lossy(&c.bytes)); } } n });
    (end.unwrap(), n)
}
async fn build(e: &Engine, s: BuildSpec, show: bool) -> Result<BuiltImage> {
    let (tx, mut rx) = tokio::sync::mpsc::channel::<OutputChunk>(64);
    let c = CancellationToken::new();
    tokio::join!(e.build_image(s, tx, &c), async { while let Some(c) = rx.recv().await { if show { print!("{}", String::from_utf8_lossy(&c.bytes)); } } }).0
}
#[tokio::main]
async fn main() {
    let t = Instant::now();
    let e = Engine::connect().await.unwrap();
    println!("connect {:?}", t.elapsed());
    for _ in 0..3 { let t = Instant::now(); let (end, _) = run(&e, StepSpec::shell("slipway-test/busybox:1", ["true"]), false).await; println!("true: total {:?} {:?}", t.elapsed(), end); }
    let t = Instant::now(); let (_, n) = run(&e, StepSpec::shell("slipway-test/busybox:1", ["head -c 1000000000 /dev/zero"]), false).await; println!("{} MB/s", n as f64 / 1e6 / t.elapsed().as_secs_f64());
    let mut s = StepSpec::shell("debian:bookworm-slim", ["apt-get update -qq && apt-get install -y -qq --no-install-recommends iputils-ping sudo redis-server python3-pip >/dev/null", "ping -c1 127.0.0.1 | tail -1", "id redis", "pip install --break-system-packages -q six && python3 -c 'import six; print(six.__version__)'"]);
    s.limits = Limits { memory_bytes: Some(1 << 30), cpus: Some(2.0), pids: Some(512), time: Some(Duration::from_secs(120)) };
    println!("{:?}", run(&e, s, true).await);
    let files: BTreeMap<String, Vec<u8>> = (0..2000).map(|i| (format!("d{}/f{i}", i % 20), vec![i as u8; 50_000])).chain([("Dockerfile".to_owned(), b"FROM slipway-test/busybox:1\nCOPY . /x\nARG S\nRUN echo $S; sleep 1\n".to_vec())]).collect();
    let tar = tar_files(&files).unwrap();
    std::fs::write("/tmp/engine-probe.tar", &tar).unwrap();
    for stream in [false, true, false] {
        let ctx = if stream { Context::Stream(bytes_stream(tar.clone())) } else { Context::Tar(tar.clone()) };
        let mut b = BuildSpec::new(ctx); b.args.insert("S".into(), format!("{:?}", std::time::SystemTime::now()));
        let t = Instant::now(); let r = build(&e, b, true).await; println!("build {:?} {:?}", t.elapsed(), r);
    }
    let mut b = BuildSpec::new(Context::Tar(tar.clone())); b.args.insert("S".into(), "same".into()); build(&e, b, false).await.unwrap();
    let mut b = BuildSpec::new(Context::Tar(tar.clone())); b.args.insert("S".into(), "same".into()); let t = Instant::now(); build(&e, b, false).await.unwrap(); println!("nothing changed {:?}", t.elapsed());
    let mut b = BuildSpec::new(Context::Tar(tar_files(&BTreeMap::from([("Dockerfile".to_owned(), b"# syntax=docker/dockerfile:1\nFROM nosuchimage/atall:9\n".to_vec())])).unwrap())); b.args.insert("S".into(), "same".into());
    let t = Instant::now(); println!("{:?} {:?}", build(&e, b, true).await, t.elapsed());
    let t = Instant::now(); println!("{:?} {:?}", e.ensure_image("nosuchimage/atall:9", None).await, t.elapsed());
}
