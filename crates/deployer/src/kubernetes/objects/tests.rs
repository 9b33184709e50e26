use domain::manifest;
use domain::spec::Deploy;

use super::*;

fn wanted(deploy: &str) -> Wanted {
    let text = format!("service: shop\nteam: Good Things\ndeploy: {deploy}\n");
    let spec = domain::spec::parse("slipway.yaml", &text).unwrap_or_else(|wrong| panic!("{wrong}"));
    Wanted {
        service: spec.service,
        environment: "test".parse().unwrap(),
        version: "1.0.0+b".to_owned(),
        run: "r2".parse().unwrap(),
        origin: "r1".parse().unwrap(),
        part_of: spec.team,
        repository: "r.example:5000/team/shop".to_owned(),
        digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
        deploy: spec.deploy.unwrap_or_default(),
        address: None,
        returns: false,
        overwrites: false,
    }
}

fn place(wanted: &Wanted) -> Place {
    Place {
        namespace: "space".to_owned(),
        image_pull_secrets: vec!["pull".to_owned()],
        image: image_for(wanted, Some("inside:1")),
        port: wanted.deploy.port,
        secrets: BTreeMap::from([("TOKEN".to_owned(), b"open sesame".to_vec())]),
        server: Server {
            policy_v1: false,
            sleeps: false,
        },
    }
}

fn made(deploy: &str) -> Release {
    let wanted = wanted(deploy);
    generated(&wanted, &place(&wanted)).unwrap()
}

fn object<'r>(release: &'r Release, kind: &str) -> &'r Json {
    let found = release.objects.iter().find(|o| o["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {:#?}", release.objects))
}

const ALL: &str = "{ port: 8080, replicas: 3, ready: { http: /healthz }, deadline: 40s, drain: 5s, \
                   resources: { cpus: 0.5, memory: 64M }, strategy: { rolling: { max_surge: 50%, min_ready: 3s } }, \
                   env: { LOG: info, TOKEN: { secret: \"env:T\" }, KEY: { secret: \"kubernetes:space/keys/one\" } } }";

#[test]
fn everything_that_a_service_asks_for_becomes_objects() {
    let release = made(ALL);
    assert_eq!(release.address, "http://shop.space.svc:8080");
    let kinds: Vec<&str> = release
        .objects
        .iter()
        .filter_map(|o| o["kind"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "ConfigMap",
            "Secret",
            "Service",
            "PodDisruptionBudget",
            "Deployment"
        ]
    );
    insta::assert_yaml_snapshot!(release.objects);
}

#[test]
fn a_service_without_port_takes_no_traffic() {
    let release = made("{ replicas: 1 }");
    assert_eq!(release.address, "");
    assert_eq!(release.objects.len(), 1);
    let pods = &object(&release, "Deployment")["spec"]["template"]["spec"];
    assert!(pods["containers"][0].get("readinessProbe").is_none());
}

#[test]
fn configuration_changes_its_name_and_the_pods_with_its_content() {
    let name = |release: &Release| object(release, "ConfigMap")["metadata"]["name"].clone();
    let pods = |release: &Release| object(release, "Deployment")["spec"]["template"].clone();
    let (one, two) = (made("{ env: { A: one } }"), made("{ env: { A: two } }"));
    assert_ne!(name(&one), name(&two));
    assert_ne!(pods(&one), pods(&two));
    assert_eq!(pods(&one), pods(&made("{ replicas: 5, env: { A: one } }")));
    assert_ne!(one.key, two.key);
    // Whoever brings it back: the same pods.
    let mut again = wanted("{ env: { A: one } }");
    again.run = "r9".parse().unwrap();
    let again = generated(&again, &place(&again)).unwrap();
    assert_eq!((pods(&again), &again.key), (pods(&one), &one.key));
}

#[test]
fn a_secret_of_another_namespace_is_refused() {
    let wanted = wanted("{ env: { KEY: { secret: \"kubernetes:other/keys/one\" } } }");
    let refused = generated(&wanted, &place(&wanted)).unwrap_err();
    assert!(
        refused.0.contains("can't read a secret of other"),
        "{refused}"
    );
}

const OWN: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app.kubernetes.io/name: web } }
  template:
    metadata: { labels: { app.kubernetes.io/name: web } }
    spec:
      containers:
      - { name: main, image: \"registry/x/shop:latest\", ports: [{ containerPort: 80 }], envFrom: [{ configMapRef: { name: settings } }] }
      - { name: proxy, image: envoy, env: [{ name: A, valueFrom: { configMapKeyRef: { name: fixed, key: a } } }] }
---
apiVersion: v1
kind: Service
metadata: { name: front }
spec: { selector: { app.kubernetes.io/name: web }, ports: [{ port: 81, targetPort: 80 }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { A: a }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: fixed, annotations: { slipway.fixed-name: \"true\" } }
data: { a: a }
";

fn brought(text: &str) -> Result<Release, Impossible> {
    let wanted = Wanted {
        deploy: Deploy {
            manifests: Some("deploy".to_owned()),
            ..Deploy::default()
        },
        ..wanted("{}")
    };
    let files = BTreeMap::from([("all.yaml".to_owned(), text.to_owned())]);
    let manifests = manifest::read("deploy", &files, "space").unwrap_or_else(|w| panic!("{w}"));
    own(&wanted, &place(&wanted), manifests)
}

#[test]
fn a_team_s_own_objects_get_image_labels_and_hashed_names() {
    let release = brought(OWN).unwrap();
    assert_eq!(release.address, "http://front.space.svc:81");
    insta::assert_yaml_snapshot!(release.objects);
    let other = brought(&OWN.replace("data: { A: a }", "data: { A: b }")).unwrap();
    assert_ne!(object(&release, "Deployment"), object(&other, "Deployment"));
}

#[test]
fn objects_without_the_service_s_image_are_refused() {
    let refused = brought(&OWN.replace("x/shop:latest", "x/shopping:latest")).unwrap_err();
    assert!(refused.0.contains("write `image: shop`"), "{refused}");
}

#[test]
fn an_object_is_the_same_in_every_version_of_its_description() {
    let id = |api_version: &str, name: &str| ObjectId {
        api_version: api_version.to_owned(),
        kind: "PodDisruptionBudget".to_owned(),
        name: name.to_owned(),
    };
    assert!(id("policy/v1", "a").is_same(&id("policy/v1beta1", "a")));
    assert!(!id("policy/v1", "a").is_same(&id("policy/v1", "b")));
    assert!(!id("policy/v1", "a").is_same(&id("v1", "a")));
}

#[test]
fn long_names_are_still_labels() {
    let long = Wanted {
        service: format!("s{}", "x".repeat(60)).parse().unwrap(),
        environment: "production".parse().unwrap(),
        ..wanted("{ port: 1 }")
    };
    let release = generated(&long, &place(&long)).unwrap();
    let labels = object(&release, "Deployment")["metadata"]["labels"]
        .as_object()
        .unwrap();
    for value in labels.values().filter_map(Json::as_str) {
        assert!(value.len() <= 63, "{value}");
    }
    assert_eq!(labels[label::VERSION], "1.0.0-b");
    assert_eq!(labels[label::PART_OF], "Good-Things");
}

#[test]
fn versions_of_a_canary_have_deployments_of_their_own_behind_one_service() {
    let canary = "{ port: 80, replicas: 2, strategy: canary }";
    let (one, scaled) = (made(canary), made(&canary.replace('2', "5")));
    let other = made("{ port: 81, replicas: 2, strategy: canary }");
    let deployment = object(&one, "Deployment");
    let name = format!("shop-{}", one.set);
    assert_eq!(deployment["metadata"]["name"], name.as_str());
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"][label::SET],
        one.set.as_str()
    );
    assert_eq!(one.deployment(), Some(deployment));
    assert_eq!(one.set, scaled.set, "more replicas are of the same set");
    assert_ne!(one.set, other.set);
    assert!(one.pinned.is_empty());
    let selector = &object(&one, "Service")["spec"]["selector"];
    assert_eq!(selector.get(label::SET), None);
    let preview = one.preview.as_ref().unwrap();
    assert_eq!(preview["metadata"]["name"], "shop-preview");
    assert_eq!(preview["spec"]["selector"][label::SET], one.set.as_str());
}

#[test]
fn the_service_of_a_blue_green_set_leads_to_it_alone_and_comes_last() {
    let release = made("{ port: 80, strategy: blue_green }");
    assert!(release.objects.iter().all(|o| o["kind"] != "Service"));
    let [service] = release.pinned.as_slice() else {
        panic!("{:?}", release.pinned);
    };
    assert_eq!(service["metadata"]["name"], "shop");
    assert_eq!(
        service["spec"]["selector"][label::SET],
        release.set.as_str()
    );
    assert_eq!(release.service("shop"), Some(service));
    assert!(release.ids().any(|id| id.kind == "Service"));
}

#[test]
fn what_can_not_be_side_by_side_is_refused_with_a_way_out() {
    let wanted_green = wanted("{ strategy: blue_green }");
    let refused = generated(&wanted_green, &place(&wanted_green))
        .unwrap_err()
        .0;
    assert!(refused.contains("`deploy.port`"), "{refused}");

    let wanted = wanted("{ manifests: k8s, strategy: canary }");
    let refusal = |text: &str| {
        let files = BTreeMap::from([("a.yaml".to_owned(), text.to_owned())]);
        let manifests = manifest::read("k8s", &files, "space").unwrap();
        own(&wanted, &place(&wanted), manifests).unwrap_err().0
    };
    let deployment = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec:\n  selector: {{ matchLabels: \
             {{ app: {name} }} }}\n  template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    spec: {{ containers: \
             [{{ name: a, image: shop }}] }}\n"
        )
    };
    let two = refusal(&format!("{}---\n{}", deployment("web"), deployment("jobs")));
    assert!(
        two.contains("Deployment web") && two.contains("Deployment jobs"),
        "{two}"
    );
    let scaler = "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: { name: up }\nspec: \
                  { maxReplicas: 3, scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web } }\n";
    let scaled = refusal(&format!("{}---\n{scaler}", deployment("web")));
    assert!(scaled.contains("HorizontalPodAutoscaler up"), "{scaled}");
}
