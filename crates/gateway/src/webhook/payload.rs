//! The JSON in a body, which some forges wrap in a form.

use std::borrow::Cow;

use http::{HeaderMap, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;

/// The bytes of the JSON text.
pub(super) fn json<'a>(headers: &HeaderMap, raw_body: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !content_type
        .to_ascii_lowercase()
        .starts_with("application/x-www-form-urlencoded")
    {
        return Ok(Cow::Borrowed(raw_body));
    }
    let payload = form_urlencoded::parse(raw_body).find(|(name, _)| name == "payload");
    let (_, payload) = payload.ok_or("the form has no field \"payload\"")?;
    Ok(Cow::Owned(payload.into_owned().into_bytes()))
}

pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    if !is_object(json) {
        return Err("it is not a JSON object".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// Serde would also take an array for a struct.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

/// A commit id of either length.
pub(super) fn commit_id(field: &str, id: &str) -> Result<String, String> {
    source::CommitId::parse(id)
        .map(|id| id.to_string())
        .ok_or_else(|| format!("`{field}` is not a commit id of 40 or 64 hexadecimal digits"))
}

/// The full name of a branch or tag.
pub(super) fn reference(text: &str) -> Result<String, String> {
    let name = source::RefName::parse(text).map_err(|error| format!("`ref`: {error}"))?;
    if name.is_full() {
        Ok(name.to_string())
    } else {
        Err("`ref` does not begin with \"refs/\"".to_owned())
    }
}

/// The address to fetch from. A forge never names a path on our disk.
pub(super) fn repository(field: &str, text: &str) -> Result<String, String> {
    let url = source::RepositoryUrl::parse(text).map_err(|error| format!("`{field}`: {error}"))?;
    if url.transport() == source::Transport::Local {
        return Err(format!(
            "`{field}` is a path on this machine, not an address"
        ));
    }
    Ok(url.to_string())
}
