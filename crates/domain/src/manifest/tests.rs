use super::*;

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: { name: orders }
spec:
  replicas: 0o2
  selector: { matchLabels: { app: orders } }
  template:
    metadata: { labels: { app: orders, tier: web } }
    spec:
      containers:
      - { name: orders, image: orders, envFrom: [{ configMapRef: { name: settings } }] }
      volumes: [{ name: v, secret: { secretName: key, defaultMode: 0400 } }]
";
const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: { name: orders }
spec: { selector: { app: orders }, ports: [{ port: 80 }] }
";

fn files(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

fn refused(list: &[(&str, &str)]) -> String {
    match read("deploy", &files(list), "test") {
        Ok(manifests) => panic!("accepted: {manifests:?}"),
        Err(mistakes) => mistakes.to_string(),
    }
}

#[test]
fn plain_files_are_read_in_the_order_of_their_names() {
    let both = format!("# first\n---\n{SERVICE}---\n");
    let read = read(
        "deploy",
        &files(&[("b.yaml", DEPLOYMENT), ("a.yml", &both), ("notes.md", "x")]),
        "test",
    )
    .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let kinds: Vec<&str> = read.iter().map(Manifest::kind).collect();
    assert_eq!(kinds, ["Service", "Deployment"]);
    assert_eq!(read[1].json["spec"]["replicas"], 2);
    let volumes = &read[1].json["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[0]["secret"]["defaultMode"], 0o400);
}

#[test]
fn mistakes_have_file_line_and_reason() {
    let elsewhere = SERVICE.replace("name: orders }", "name: orders, namespace: prod }");
    let text = refused(&[("d.yaml", DEPLOYMENT), ("s.yaml", &elsewhere)]);
    assert!(
        text.contains("deploy/s.yaml:3:") && text.contains("names the namespace `prod`"),
        "{text}"
    );
    let text = refused(&[
        ("d.yaml", DEPLOYMENT),
        ("s.yaml", &SERVICE.replace("app: orders", "app: order")),
    ]);
    assert!(
        text.contains("deploy/s.yaml:4:") && text.contains("matches no pod"),
        "{text}"
    );
    let text = refused(&[("d.yaml", "kind: Deployment\nspec: [a\n")]);
    assert!(text.contains("deploy/d.yaml:2:"), "{text}");
    let text = refused(&[(
        "d.yaml",
        &DEPLOYMENT.replace("{ app: orders, tier", "{ tier"),
    )]);
    assert!(text.contains("does not match the labels"), "{text}");
    let text = refused(&[
        ("d.yaml", "a: 1\n"),
        (
            "n.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: { name: x }\n",
        ),
    ]);
    assert!(
        text.contains("`kind` is missing") && text.contains("made by Slipway"),
        "{text}"
    );
    let text = refused(&[
        ("a.yaml", SERVICE),
        ("b.yaml", SERVICE),
        ("d.yaml", DEPLOYMENT),
    ]);
    assert!(text.contains("here twice"), "{text}");
    assert!(refused(&[("README.md", "")]).contains("no object"));
}

#[test]
fn a_kustomization_names_files_and_changes_names_and_labels() {
    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\ndata: { A: 'yes' }\n";
    let root = "resources: [base, settings.yaml]\nnamePrefix: shop-\nlabels:\n- { pairs: { part: shop }, includeSelectors: true }\n";
    let base = "resources: [../d.yaml, s.yaml]\ncommonAnnotations: { team: a }\n";
    let list = [
        ("kustomization.yaml", root),
        ("base/kustomization.yml", base),
        ("base/s.yaml", SERVICE),
        ("d.yaml", DEPLOYMENT),
        ("settings.yaml", settings),
        ("unused.yaml", "not: an object\n"),
    ];
    let read =
        read("deploy", &files(&list), "test").unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let names: Vec<&str> = read.iter().map(Manifest::name).collect();
    assert_eq!(names, ["shop-orders", "shop-orders", "shop-settings"]);
    let deployment = &read[0].json;
    assert_eq!(deployment["metadata"]["annotations"]["team"], "a");
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"]["part"],
        "shop"
    );
    assert_eq!(
        deployment.pointer("/spec/template/spec/containers/0/envFrom/0/configMapRef/name"),
        Some(&Json::from("shop-settings"))
    );
    assert_eq!(read[1].json["spec"]["selector"]["part"], "shop");
    assert_eq!(read[2].json["data"]["A"], "yes");
}

#[test]
fn what_a_kustomization_can_not_do_here_is_said() {
    let text = refused(&[("kustomization.yaml", "resources: [a.yaml]\npatches: []\n")]);
    assert!(
        text.contains("kustomization.yaml:2:") && text.contains("`patches` is not done here"),
        "{text}"
    );
    let text = refused(&[("kustomization.yaml", "resources: [../../other]\n")]);
    assert!(text.contains("is outside of deploy"), "{text}");
    let text = refused(&[("kustomization.yaml", "resources: [.]\n")]);
    assert!(text.contains("without end"), "{text}");
    let text = refused(&[("kustomization.yaml", "resources: [a.yaml]\n")]);
    assert!(text.contains("there is no file `a.yaml`"), "{text}");
}
