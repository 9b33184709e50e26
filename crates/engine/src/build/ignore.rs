//! `.dockerignore`: what of the context the build does not see.
//!
//! The rules are Docker's (<https://docs.docker.com/build/concepts/context/#dockerignore-files>): Go's
//! `filepath.Match` plus `**`, anchored at the context's root; a match of a directory covers what is in it; the last
//! rule that matches decides; `!` takes back.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// The rules of one ignore file.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    rules: Vec<Rule>,
    /// What the builder needs whatever the rules say.
    needed: Vec<PathBuf>,
}

#[derive(Debug)]
struct Rule {
    pattern: GlobMatcher,
    excludes: bool,
}

impl Ignore {
    /// Reads the rules; the error is for the user.
    pub(super) fn parse(text: &str, dockerfile: &Path) -> Result<Self, String> {
        let rules = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(rule)
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            rules,
            needed: vec![dockerfile.to_owned(), PathBuf::from(".dockerignore")],
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a path, relative to the context's root, is left out.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        if self.needed.iter().any(|needed| needed == path) {
            return false;
        }
        let decisive = self.rules.iter().rev().find(|rule| rule.matches(path));
        decisive.is_some_and(|rule| rule.excludes)
    }
}

impl Rule {
    /// A rule that matches a directory matches all that is in it.
    fn matches(&self, path: &Path) -> bool {
        path.ancestors()
            .filter(|ancestor| !ancestor.as_os_str().is_empty())
            .any(|ancestor| self.pattern.is_match(ancestor))
    }
}

/// One line; `None` if it names the context itself, which Docker ignores.
fn rule(line: &str) -> Result<Option<Rule>, String> {
    let (pattern, excludes) = match line.strip_prefix('!') {
        Some(rest) => (rest.trim(), false),
        None => (line, true),
    };
    if pattern.is_empty() {
        return Err(
            "a line of .dockerignore is a single `!`; it needs a pattern behind it".to_owned(),
        );
    }
    let Some(pattern) = anchored(pattern) else {
        return Ok(None);
    };
    let glob = GlobBuilder::new(&go_to_globset(&pattern))
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| format!(".dockerignore has a bad pattern {line:?}: {}", error.kind()))?;
    Ok(Some(Rule {
        pattern: glob.compile_matcher(),
        excludes,
    }))
}

/// `/a/./b/../c/` is `a/c`; the root itself is nothing.
fn anchored(pattern: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(pattern).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Go's patterns have no alternatives in braces.
fn go_to_globset(pattern: &str) -> String {
    pattern.replace('{', "[{]").replace('}', "[}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out<'a>(rules: &str, paths: &[&'a str]) -> Vec<&'a str> {
        let ignore = Ignore::parse(rules, Path::new("Dockerfile")).expect("the rules are read");
        paths
            .iter()
            .copied()
            .filter(|path| ignore.excludes(Path::new(path)))
            .collect()
    }

    #[test]
    fn patterns_are_anchored_and_cover_what_is_inside() {
        let paths = ["target", "target/debug/x", "sub/target", "targets"];
        assert_eq!(left_out("/target/\n", &paths), ["target", "target/debug/x"]);
    }

    #[test]
    fn a_star_stays_within_its_directory_and_two_do_not() {
        let paths = ["a.log", "sub/a.log", "sub/sub/a.log"];
        assert_eq!(left_out("*.log", &paths), ["a.log"]);
        assert_eq!(left_out("*/*.log", &paths), ["sub/a.log"]);
        assert_eq!(left_out("**/*.log", &paths), paths);
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let paths = ["docs/a.md", "docs/README.md"];
        assert_eq!(left_out("docs\n!docs/README.md", &paths), ["docs/a.md"]);
        assert_eq!(left_out("!docs/README.md\ndocs", &paths), paths);
    }

    #[test]
    fn everything_but_is_possible() {
        let paths = [
            "src/main.rs",
            "Cargo.toml",
            "secret",
            ".dockerignore",
            "Dockerfile",
        ];
        assert_eq!(left_out("*\n!src\n!Cargo.toml", &paths), ["secret"]);
        assert_eq!(left_out("**", &["a/b"]), ["a/b"]);
    }

    #[test]
    fn comments_questions_classes_and_braces() {
        let paths = ["temp1", "temp12", "a{b,c}", "ab", "x1", "xa"];
        assert_eq!(left_out("# temp12\ntemp?", &paths), ["temp1"]);
        assert_eq!(left_out("a{b,c}", &paths), ["a{b,c}"]);
        assert_eq!(left_out("x[0-9]", &paths), ["x1"]);
        assert_eq!(left_out("x[^0-9]", &paths), ["xa"]);
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error =
            Ignore::parse("a[", Path::new("Dockerfile")).expect_err("a class without an end");
        assert!(error.contains("a["), "{error}");
    }
}
