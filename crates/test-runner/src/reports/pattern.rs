//! Patterns of report files: what has to be fetched from the container, and which files of it are meant.

use container_stage::naming::WORKSPACE;
use globset::{GlobBuilder, GlobMatcher};

/// A pattern such as `target/**/junit-*.xml`, relative to the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// As it was written.
    pub(crate) text: String,
    /// What is fetched: the file itself if nothing is left open, or the folder that every match is in.
    pub(crate) fetch: String,
    matcher: GlobMatcher,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts: Vec<&str> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        if parts.is_empty() || parts.contains(&"..") {
            return Err(format!(
                "the report pattern {text:?} names no file below the workspace"
            ));
        }
        if !text.starts_with('/') {
            parts.insert(0, WORKSPACE.trim_matches('/'));
        }
        let is_open = |part: &&str| part.contains(['*', '?', '[', '{', '\\']);
        let fixed = parts.iter().position(is_open).unwrap_or(parts.len());
        if fixed == 0 {
            return Err(format!(
                "the report pattern {text:?} would search the whole container; name a folder first"
            ));
        }
        let absolute = format!("/{}", parts.join("/"));
        let glob = GlobBuilder::new(&absolute).literal_separator(true).build();
        let matcher = glob
            .map_err(|error| format!("the report pattern {text:?} is wrong: {}", error.kind()))?;
        let fetch = format!("/{}", parts[..fixed].join("/"));
        Ok(Self {
            text: text.to_owned(),
            fetch,
            matcher: matcher.compile_matcher(),
        })
    }

    /// The absolute path of an entry of the fetched archive, whose paths begin with the last part of what was
    /// fetched; `None` if it isn't meant.
    pub(crate) fn path_of(&self, entry: &str) -> Option<String> {
        let parent = self.fetch.rsplit_once('/').map_or("", |(parent, _)| parent);
        let path = format!(
            "{parent}/{}",
            entry.trim_start_matches("./").trim_matches('/')
        );
        self.matcher.is_match(&path).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fixed_folder_is_fetched() {
        let fetch = |text| Pattern::parse(text).unwrap().fetch;
        assert_eq!(fetch("report.xml"), "/workspace/report.xml");
        assert_eq!(
            fetch("./target/nextest/ci/junit.xml"),
            "/workspace/target/nextest/ci/junit.xml"
        );
        assert_eq!(
            fetch("target/surefire-reports/*.xml"),
            "/workspace/target/surefire-reports"
        );
        assert_eq!(fetch("**/junit.xml"), "/workspace");
        assert_eq!(fetch("/tmp/reports/*.xml"), "/tmp/reports");
    }

    #[test]
    fn stars_stay_within_a_folder_and_double_stars_do_not() {
        let one = Pattern::parse("target/*.xml").unwrap();
        assert_eq!(
            one.path_of("target/a.xml").as_deref(),
            Some("/workspace/target/a.xml")
        );
        assert_eq!(one.path_of("target/sub/a.xml"), None);
        let deep = Pattern::parse("**/TEST-*.xml").unwrap();
        assert!(deep.path_of("workspace/a/b/TEST-x.xml").is_some());
        assert!(deep.path_of("workspace/TEST-x.xml").is_some());
        assert_eq!(deep.path_of("workspace/a/b/x.xml"), None);
        let exact = Pattern::parse("out/junit.xml").unwrap();
        assert_eq!(
            exact.path_of("junit.xml").as_deref(),
            Some("/workspace/out/junit.xml")
        );
    }

    #[test]
    fn patterns_that_lead_nowhere_are_refused() {
        for text in [
            "",
            ".",
            "../secret.xml",
            "a/../../b.xml",
            "/*.xml",
            "a/[.xml",
            "a/{b.xml",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
