//! What lets the objects of two versions be side by side: pods that say which set they are of, and, where the strategy
//! wants it, a Deployment by a name of its own and Services that lead to one set only. Pure.

use domain::spec::{Strategy, TrafficRouter};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{Impossible, ObjectId, Place, is_workload, label};
use crate::wanted::Wanted;

/// What the name of a preview Service ends with.
pub(crate) const PREVIEW: &str = "-preview";

/// The objects of a version, by what is done with them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Apart {
    /// What is applied at once.
    pub(super) objects: Vec<Json>,
    /// Services that lead to this version's pods only; applied once these are ready.
    pub(super) pinned: Vec<Json>,
    /// The Service by which the version is looked at before it has traffic.
    pub(super) preview: Option<Json>,
    /// What tells its pods from those of every other version.
    pub(super) set: String,
}

/// Takes the objects apart.
pub(super) fn apart(
    wanted: &Wanted,
    place: &Place,
    mut objects: Vec<Json>,
) -> Result<Apart, Impossible> {
    let set = set_of(wanted, place, &objects);
    let main = main_service(&objects, wanted, place).cloned();
    let strategy = match &wanted.deploy.strategy {
        Strategy::Rolling(_) => None,
        Strategy::BlueGreen(_) => Some("blue_green"),
        Strategy::Canary(_) => Some("canary"),
    };
    if let Some(strategy) = strategy {
        check(&objects, place, strategy)?;
    }
    let leads = |object: &Json, all: &[Json]| {
        object["kind"] == "Service"
            && all
                .iter()
                .any(|other| runs_image(other, place) && leads_to(object, other))
    };
    let is_pinned: Vec<bool> = objects
        .iter()
        .map(|object| strategy == Some("blue_green") && leads(object, &objects))
        .collect();
    if strategy == Some("blue_green") && !is_pinned.contains(&true) {
        return Err(Impossible(
            "`blue_green` switches a Service from one version to the other, and no Service leads to the pods of this \
             one; name its `deploy.port`, add a Service to `deploy.manifests`, or use `strategy: rolling`"
                .to_owned(),
        ));
    }
    for object in objects.iter_mut().filter(|o| runs_image(o, place)) {
        object["spec"]["template"]["metadata"]["labels"][label::SET] = json!(set);
        if strategy.is_some() {
            object["metadata"]["name"] = json!(format!("{}-{set}", ObjectId::of(object).name));
            object["spec"]["selector"]["matchLabels"][label::SET] = json!(set);
        }
    }
    let mut is_pinned = is_pinned.into_iter();
    let (mut pinned, mut objects): (Vec<Json>, Vec<Json>) = objects
        .into_iter()
        .partition(|_| is_pinned.next().unwrap_or(false));
    if let Some(router) = router(wanted).filter(|router| router.destination_rule().is_none()) {
        let names = [
            router.stable(&wanted.service),
            router.canary(&wanted.service),
        ];
        pinned = backends(&mut objects, main.as_ref(), &names)?;
    }
    Ok(Apart {
        pinned: pinned
            .into_iter()
            .map(|service| pin(service, &set))
            .collect(),
        preview: strategy
            .and(main)
            .map(|service| pin(preview(&service), &set)),
        objects,
        set,
    })
}

/// The same Service, leading to one set only.
pub(crate) fn pin(mut service: Json, set: &str) -> Json {
    service["spec"]["selector"][label::SET] = json!(set);
    service
}

/// Whether a workload runs the image of the version.
pub(super) fn runs_image(object: &Json, place: &Place) -> bool {
    let containers = object.pointer("/spec/template/spec/containers");
    let mut containers = containers.and_then(Json::as_array).into_iter().flatten();
    is_workload(object["kind"].as_str().unwrap_or_default())
        && containers.any(|container| container["image"] == place.image.as_str())
}

/// The Service called like the service, or else the only one that leads to a pod with the image.
pub(super) fn main_service<'o>(
    objects: &'o [Json],
    wanted: &Wanted,
    place: &Place,
) -> Option<&'o Json> {
    let workloads: Vec<&Json> = objects.iter().filter(|o| runs_image(o, place)).collect();
    let services: Vec<&Json> = objects
        .iter()
        .filter(|object| object["kind"] == "Service")
        .filter(|service| workloads.iter().any(|workload| leads_to(service, workload)))
        .collect();
    let named = services
        .iter()
        .find(|service| service["metadata"]["name"] == wanted.service.as_str());
    let only = services.first().filter(|_| services.len() == 1);
    named.or(only).copied()
}

fn leads_to(service: &Json, workload: &Json) -> bool {
    let selector = service["spec"]["selector"].as_object();
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    selector.is_some_and(|wanted| wanted.iter().all(|(k, v)| labels.get(k) == Some(v)))
}

/// A version's pods are those with this template and this configuration.
fn set_of(wanted: &Wanted, place: &Place, objects: &[Json]) -> String {
    let mut hash = Sha256::new();
    hash.update(wanted.key());
    for object in objects.iter().filter(|o| runs_image(o, place)) {
        hash.update([0]);
        hash.update(object["spec"]["template"].to_string());
    }
    hex::encode(hash.finalize())[..10].to_owned()
}

/// Whether two versions of these objects can be side by side.
fn check(objects: &[Json], place: &Place, strategy: &str) -> Result<(), Impossible> {
    let with_image: Vec<ObjectId> = objects
        .iter()
        .filter(|o| runs_image(o, place))
        .map(ObjectId::of)
        .collect();
    let only = match with_image.as_slice() {
        [only] if only.kind == "Deployment" => only,
        others => {
            let names: Vec<String> = others.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() {
                "none does".to_owned()
            } else {
                format!("these do: {}", names.join(", "))
            };
            return Err(Impossible(format!(
                "`{strategy}` needs exactly one Deployment that runs the image, and {names}; use `strategy: rolling`, \
                 or take the others out of `deploy.manifests`"
            )));
        }
    };
    let scales = |object: &&Json| {
        let target = &object["spec"]["scaleTargetRef"];
        object["kind"] == "HorizontalPodAutoscaler"
            && target["kind"] == "Deployment"
            && target["name"] == only.name.as_str()
    };
    match objects.iter().find(scales) {
        Some(scaler) => Err(Impossible(format!(
            "`{strategy}` sets the numbers of replicas itself, and {} would, too; use `strategy: rolling`, or take the \
             autoscaler out of `deploy.manifests`",
            ObjectId::of(scaler)
        ))),
        None => Ok(()),
    }
}

/// The router that a version's strategy has.
pub(crate) fn router(wanted: &Wanted) -> Option<&TrafficRouter> {
    match &wanted.deploy.strategy {
        Strategy::Canary(canary) => canary.router.as_deref(),
        Strategy::Rolling(_) | Strategy::BlueGreen(_) => None,
    }
}

/// The two Services that a route leads to: the team's own by these names, or copies of the one that leads to the
/// version.
fn backends(
    objects: &mut Vec<Json>,
    main: Option<&Json>,
    names: &[String; 2],
) -> Result<Vec<Json>, Impossible> {
    let mut backends = Vec::new();
    for name in names {
        let is_it = |o: &Json| o["kind"] == "Service" && o["metadata"]["name"] == name.as_str();
        let own = objects.iter().position(is_it);
        let copy = main.map(|service| another(service, name));
        let backend = own.map(|index| objects.remove(index)).or(copy);
        backends.push(backend.ok_or_else(|| {
            Impossible(format!(
                "`router` splits the traffic between two Services, {} and {}, and no Service leads to the pods of this \
                 version whose ports they could have; name its `deploy.port`, or add the two to `deploy.manifests`",
                names[0], names[1]
            ))
        })?);
    }
    Ok(backends)
}

/// The Service by which a version is looked at before it has traffic.
fn preview(service: &Json) -> Json {
    another(service, &format!("{}{PREVIEW}", ObjectId::of(service).name))
}

/// The same ports under another name, inside the cluster.
fn another(service: &Json, name: &str) -> Json {
    let mut ports = service["spec"]["ports"].clone();
    for port in ports.as_array_mut().into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": { "selector": service["spec"]["selector"], "ports": ports },
    })
}
