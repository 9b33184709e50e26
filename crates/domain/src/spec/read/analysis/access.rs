//! The section `auth` of a metric from the tree.

use super::super::super::analysis::Access;
use super::super::deploy::value_or_secret;
use super::super::secret;
use crate::document::{Fields, Reader, refuse_both};

pub(super) fn access(r: &mut Reader<'_>, metric: &Fields<'_>) -> Option<Access> {
    let fields = r.section(metric, "auth", &["bearer", "basic", "headers", "ca"])?;
    if refuse_both(r, &fields, "bearer", "basic") {
        return None;
    }
    let headers = r.named(&fields, "headers", |r, entry, what| {
        if !is_header(&entry.key) {
            let message = format!("`{what}` is not the name of a header that can be set");
            let help =
                "write a name such as `X-Scope-OrgID`; `bearer` and `basic` set `Authorization`";
            r.error_help(entry.key_span.clone(), message, help);
            return None;
        }
        value_or_secret(r, entry, what)
    });
    let mut named = |key| secret(r, fields.get(key)?, &fields.path(key));
    Some(Access {
        bearer: named("bearer"),
        basic: named("basic"),
        headers,
        ca: named("ca"),
    })
}

/// Whether a name is a token of HTTP, and not that of a header that says how the message is sent.
fn is_header(name: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let ours = ["host", "content-length", "connection", "transfer-encoding"];
    !name.is_empty()
        && name.chars().all(is_token)
        && !ours.contains(&name.to_ascii_lowercase().as_str())
}
