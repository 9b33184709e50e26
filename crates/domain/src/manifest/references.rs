//! Where objects name each other.

use serde_json::Value as Json;

/// How the parts of a workload that hold pods are reached, by kind.
const PODS: [(&str, &str); 7] = [
    ("Deployment", "spec.template.spec"),
    ("StatefulSet", "spec.template.spec"),
    ("DaemonSet", "spec.template.spec"),
    ("ReplicaSet", "spec.template.spec"),
    ("Job", "spec.template.spec"),
    ("CronJob", "spec.jobTemplate.spec.template.spec"),
    ("Pod", "spec"),
];

/// Below a pod's `spec`: what is named, and where.
const IN_PODS: [(&str, &str); 17] = [
    ("ConfigMap", "containers.*.envFrom.*.configMapRef.name"),
    (
        "ConfigMap",
        "containers.*.env.*.valueFrom.configMapKeyRef.name",
    ),
    ("ConfigMap", "initContainers.*.envFrom.*.configMapRef.name"),
    (
        "ConfigMap",
        "initContainers.*.env.*.valueFrom.configMapKeyRef.name",
    ),
    ("ConfigMap", "volumes.*.configMap.name"),
    ("ConfigMap", "volumes.*.projected.sources.*.configMap.name"),
    ("Secret", "containers.*.envFrom.*.secretRef.name"),
    ("Secret", "containers.*.env.*.valueFrom.secretKeyRef.name"),
    ("Secret", "initContainers.*.envFrom.*.secretRef.name"),
    (
        "Secret",
        "initContainers.*.env.*.valueFrom.secretKeyRef.name",
    ),
    ("Secret", "volumes.*.secret.secretName"),
    ("Secret", "volumes.*.projected.sources.*.secret.name"),
    ("Secret", "imagePullSecrets.*.name"),
    ("ServiceAccount", "serviceAccountName"),
    ("ServiceAccount", "serviceAccount"),
    (
        "PersistentVolumeClaim",
        "volumes.*.persistentVolumeClaim.claimName",
    ),
    ("ResourceClaim", "resourceClaims.*.resourceClaimName"),
];

/// Elsewhere: the kind that names, what is named, and where.
const ELSEWHERE: [(&str, &str, &str); 6] = [
    ("StatefulSet", "Service", "spec.serviceName"),
    ("Ingress", "Service", "spec.defaultBackend.service.name"),
    (
        "Ingress",
        "Service",
        "spec.rules.*.http.paths.*.backend.service.name",
    ),
    ("Ingress", "Secret", "spec.tls.*.secretName"),
    ("HTTPRoute", "Service", "spec.rules.*.backendRefs.*.name"),
    ("GRPCRoute", "Service", "spec.rules.*.backendRefs.*.name"),
];

/// Places that name their kind beside the name.
const WITH_KIND: [(&str, &str); 3] = [
    ("HorizontalPodAutoscaler", "spec.scaleTargetRef"),
    ("RoleBinding", "roleRef"),
    ("RoleBinding", "subjects.*"),
];

/// Gives every object of `kind` that is called `old`, and everything that names it, the name `new`.
pub fn rename<'j>(
    objects: impl IntoIterator<Item = &'j mut Json>,
    kind: &str,
    old: &str,
    new: &str,
) {
    let mut renamed = |name: &mut Json| {
        if name.as_str() == Some(old) {
            *name = Json::String(new.to_owned());
        }
    };
    for object in objects {
        let own = object["kind"].as_str().unwrap_or("").to_owned();
        if own == kind {
            at(object, &["metadata", "name"], &mut renamed);
        }
        for (_, pods) in PODS.iter().filter(|(workload, _)| *workload == own) {
            for (_, place) in IN_PODS.iter().filter(|(named, _)| *named == kind) {
                let path: Vec<&str> = pods.split('.').chain(place.split('.')).collect();
                at(object, &path, &mut renamed);
            }
        }
        for (_, _, place) in ELSEWHERE
            .iter()
            .filter(|(naming, named, _)| *naming == own && *named == kind)
        {
            at(object, &place.split('.').collect::<Vec<_>>(), &mut renamed);
        }
        for (_, place) in WITH_KIND.iter().filter(|(naming, _)| *naming == own) {
            let path: Vec<&str> = place.split('.').collect();
            at(object, &path, &mut |reference| {
                if reference["kind"].as_str() == Some(kind) {
                    at(reference, &["name"], &mut renamed);
                }
            });
        }
    }
}

/// Calls `with` for all that a path leads to; `*` is every element of a list.
pub(super) fn at(json: &mut Json, path: &[&str], with: &mut dyn FnMut(&mut Json)) {
    match (path.split_first(), json) {
        (None, json) => with(json),
        (Some((&"*", rest)), Json::Array(list)) => {
            list.iter_mut().for_each(|element| at(element, rest, with));
        }
        (Some((step, rest)), Json::Object(map)) => {
            if let Some(inner) = map.get_mut(*step) {
                at(inner, rest, with);
            }
        }
        _ => {}
    }
}
