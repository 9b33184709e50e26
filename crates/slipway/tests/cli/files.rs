//! `init` and `lint` on real folders.

use std::fs;

use crate::program::Program;

#[tokio::test]
async fn init_writes_a_file_that_lint_accepts() {
    let program = Program::alone();
    let folder = program.home().join("delivery");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("go.mod"), "module delivery\n").unwrap();
    fs::write(folder.join("Dockerfile"), "FROM scratch\nEXPOSE 9090\n").unwrap();
    let said = program.ok(&["init", "delivery"]).await;
    assert!(
        said.contains("Wrote delivery/slipway.yaml for the service delivery in go."),
        "{said}"
    );
    insta::assert_snapshot!(fs::read_to_string(folder.join("slipway.yaml")).unwrap());
    assert_eq!(
        program.ok(&["lint"]).await,
        "✔ delivery/slipway.yaml: no mistakes\n"
    );
}

#[tokio::test]
async fn init_never_overwrites() {
    let program = Program::alone();
    let path = program.home().join("slipway.yaml");
    fs::write(&path, "service: mine\n").unwrap();
    let ended = program.run(&["init"]).await;
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .err
            .contains("slipway.yaml is there already and stays as it is"),
        "{}",
        ended.err
    );
    assert_eq!(fs::read_to_string(path).unwrap(), "service: mine\n");
}

#[tokio::test]
async fn a_mistake_is_shown_with_its_place() {
    let program = Program::alone();
    fs::write(program.home().join("Dockerfile"), "FROM scratch\n").unwrap();
    fs::write(
        program.home().join("slipway.yaml"),
        "service: delivery\ndeploy:\n  port: 8080\n  replcas: 3\n",
    )
    .unwrap();
    let ended = program.run(&["lint"]).await;
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(ended.out);
    let ended = program
        .run(&["lint", "slipway.yaml", "--output", "json"])
        .await;
    assert_eq!(ended.code, 1);
    let found: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(found["ok"], false);
    assert_eq!(
        (
            &found["diagnostics"][0]["line"],
            &found["diagnostics"][0]["column"]
        ),
        (&4.into(), &3.into())
    );
}

#[tokio::test]
async fn services_are_checked_against_the_platform_and_each_other() {
    let program = Program::alone();
    let write = |path: &str, text: &str| {
        let path = program.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "platform.yaml",
        "registries:\n  development: { address: 'd:5000' }\n  production: { address: 'p:5000' }\nenvironments:\n  test: {}\n",
    );
    write("a/Dockerfile", "FROM scratch\n");
    write(
        "a/slipway.yaml",
        "service: a\nneeds: [b]\ndeploy: { port: 80, environments: { tset: { replicas: 1 } } }\n",
    );
    write("b/slipway.yaml", "service: b\nneeds: [a]\n");
    write("node_modules/c/slipway.yaml", "not: ours\n");
    let ended = program.run(&["lint"]).await;
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(ended.out);
}

#[tokio::test]
async fn files_of_other_repositories_are_not_ours_to_check() {
    let program = Program::alone();
    let write = |path: &str, text: &str| {
        let path = program.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(".git/HEAD", "ref: refs/heads/main\n");
    write("Dockerfile", "FROM scratch\n");
    write("slipway.yaml", "service: a\n");
    // A submodule has a file `.git`, a clone a folder.
    write("libs/submodule/.git", "gitdir: ../../.git/modules/x\n");
    write("libs/submodule/slipway.yaml", "not: ours\n");
    write("clone/.git/HEAD", "ref: refs/heads/main\n");
    write("clone/services/b/slipway.yaml", "not: ours\n");
    write("target/package/slipway.yaml", "not: ours\n");
    assert_eq!(program.ok(&["lint"]).await, "✔ slipway.yaml: no mistakes\n");
    // Who names it means it.
    let ended = program.run(&["lint", "clone"]).await;
    assert_eq!(ended.code, 1, "{}", ended.out);
}

#[tokio::test]
async fn lint_without_a_file_says_how_to_make_one() {
    let ended = Program::alone().run(&["lint"]).await;
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.contains("`slipway init` writes one"),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn lint_prints_the_schemas() {
    let program = Program::alone();
    for (kind, title) in [("slipway", "slipway.yaml"), ("platform", "platform.yaml")] {
        let schema: serde_json::Value =
            serde_json::from_str(&program.ok(&["lint", "--schema", kind]).await).unwrap();
        assert_eq!(schema["title"], title);
    }
}
