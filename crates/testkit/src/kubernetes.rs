//! A real Kubernetes cluster, where there is one for tests.

use std::path::PathBuf;

/// The kubeconfig of a cluster that tests may use as they like.
const OWN: &str = "SLIPWAY_TEST_KUBECONFIG";

/// The kubeconfig of the cluster for tests: `SLIPWAY_TEST_KUBECONFIG`, or else `KUBECONFIG`. Where neither is set, the
/// test is left out; where one is, the cluster was promised, and a test that can't use it fails.
pub fn kubeconfig() -> Option<PathBuf> {
    let named = [OWN, "KUBECONFIG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|path| !path.is_empty());
    if named.is_none() {
        crate::skip::leave_out(&format!(
            "no Kubernetes cluster; name the kubeconfig of one for tests with {OWN}"
        ));
    }
    named.map(PathBuf::from)
}
