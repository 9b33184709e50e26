//! The files of the demo are what Slipway reads.

use std::fs;
use std::path::PathBuf;

fn demo() -> PathBuf {
    xtask::repository_root().join("deploy/demo")
}

#[test]
fn every_slipway_yaml_of_the_demo_is_in_order() {
    let mut services = Vec::new();
    for entry in fs::read_dir(demo()).expect("the demo is there") {
        let path = entry.expect("readable").path().join("slipway.yaml");
        if let Ok(text) = fs::read_to_string(&path) {
            let spec = domain::spec::parse(&path.display().to_string(), &text);
            services.push(spec.unwrap_or_else(|wrong| panic!("{wrong}")));
        }
    }
    let names: Vec<_> = services.iter().map(|spec| &spec.service).collect();
    assert_eq!(names.len(), 5);
    for spec in &services {
        for needed in &spec.needs {
            assert!(names.contains(&needed), "{} needs {needed}", spec.service);
        }
    }
}

#[test]
fn every_platform_yaml_is_in_order() {
    for path in [
        demo().join("platform.yaml"),
        xtask::repository_root().join("deploy/platform.yaml"),
    ] {
        let text = fs::read_to_string(&path).expect("readable");
        domain::platform::parse(&path.display().to_string(), &text)
            .unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}
