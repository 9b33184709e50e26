//! Pages of a list: the `Link` header of RFC 8288, as registries use it.

use reqwest::header::{HeaderMap, LINK};

/// The target of `Link: <…>; rel="next"`.
pub(crate) fn next_page(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(links)
        .find_map(|(target, rest)| {
            let is_next = rest.split(';').any(|parameter| {
                let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                key.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
            });
            is_next.then(|| target.to_owned())
        })
}

/// Each `<target>` of a header with the parameters that follow it.
fn links(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value
        .split('<')
        .skip(1)
        .filter_map(|link| link.split_once('>'))
        .map(|(target, rest)| (target, rest.trim_end().trim_end_matches(',')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, value.parse().unwrap());
        next_page(&headers)
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        assert_eq!(
            next(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#).as_deref(),
            Some("/v2/a/tags/list?last=b&n=2")
        );
        assert_eq!(
            next("</first>; rel=first, </second>; rel=next").as_deref(),
            Some("/second")
        );
        assert_eq!(next(r#"</other>; rel="prev""#), None);
        assert_eq!(next("nonsense"), None);
    }
}
