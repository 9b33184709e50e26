//! What a service is written in, by the files in its folder.

/// How a language is usually built and tested.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Language {
    /// For people and scripts, in lower case.
    pub(super) name: &'static str,
    /// Files that tell it; `*` before an ending stands for any name.
    files: &'static [&'static str],
    /// The build container.
    pub(super) image: &'static str,
    /// Build commands.
    pub(super) build: &'static str,
    /// Folders worth keeping from one build to the next.
    pub(super) cache: &'static str,
    /// Unit test commands.
    pub(super) test: &'static str,
    /// JUnit reports that the test commands leave; empty if they need a tool for that.
    pub(super) reports: &'static str,
}

/// The more telling first: a Python service may have a package.json for its pages.
const LANGUAGES: [Language; 10] = [
    Language {
        name: "rust",
        files: &["Cargo.toml"],
        image: "rust:1.95",
        build: "cargo build --release --locked",
        cache: "target, /usr/local/cargo/registry",
        test: "cargo test --release --locked",
        reports: "",
    },
    Language {
        name: "go",
        files: &["go.mod"],
        image: "golang:1.24",
        build: "go build ./...",
        cache: "/root/.cache/go-build, /go/pkg/mod",
        test: "go test -v ./...",
        reports: "",
    },
    Language {
        name: "java",
        files: &["pom.xml"],
        image: "maven:3-eclipse-temurin-21",
        build: "mvn -B -DskipTests package",
        cache: "/root/.m2",
        test: "mvn -B test",
        reports: "target/surefire-reports/*.xml",
    },
    Language {
        name: "java",
        files: &["build.gradle", "build.gradle.kts"],
        image: "gradle:8-jdk21",
        build: "gradle --no-daemon assemble",
        cache: "/home/gradle/.gradle",
        test: "gradle --no-daemon test",
        reports: "build/test-results/test/*.xml",
    },
    Language {
        name: "csharp",
        files: &["*.csproj", "*.sln"],
        image: "mcr.microsoft.com/dotnet/sdk:9.0",
        build: "dotnet build -c Release",
        cache: "/root/.nuget/packages",
        test: "dotnet test -c Release",
        reports: "",
    },
    Language {
        name: "elixir",
        files: &["mix.exs"],
        image: "elixir:1.18",
        build: "mix deps.get && mix compile",
        cache: "deps, _build",
        test: "mix test",
        reports: "",
    },
    Language {
        name: "python",
        files: &["pyproject.toml", "requirements.txt", "setup.py"],
        image: "python:3.13-slim",
        build: "pip install -r requirements.txt pytest",
        cache: "/root/.cache/pip",
        test: "python -m pytest --junitxml=reports/unit.xml",
        reports: "reports/unit.xml",
    },
    Language {
        name: "ruby",
        files: &["Gemfile"],
        image: "ruby:3.4",
        build: "bundle install",
        cache: "/usr/local/bundle/cache",
        test: "bundle exec rake test",
        reports: "",
    },
    Language {
        name: "php",
        files: &["composer.json"],
        image: "composer:2",
        build: "composer install --no-interaction",
        cache: "/tmp/cache",
        test: "vendor/bin/phpunit --log-junit reports/unit.xml",
        reports: "reports/unit.xml",
    },
    Language {
        name: "node",
        files: &["package.json"],
        image: "node:22-slim",
        build: "npm ci",
        cache: "/root/.npm",
        test: "npm test",
        reports: "",
    },
];

/// The language of a folder with files of these names.
pub(super) fn detect(names: &[String]) -> Option<&'static Language> {
    let is_there = |pattern: &&str| match pattern.strip_prefix('*') {
        Some(ending) => names.iter().any(|name| name.ends_with(ending)),
        None => names.iter().any(|name| name == pattern),
    };
    LANGUAGES
        .iter()
        .find(|language| language.files.iter().any(&is_there))
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static Language> {
    LANGUAGES.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(files: &[&str]) -> Option<&'static str> {
        let files: Vec<String> = files.iter().map(|f| (*f).to_owned()).collect();
        detect(&files).map(|language| language.name)
    }

    #[test]
    fn a_language_is_told_by_its_files() {
        assert_eq!(name(&["Dockerfile", "Cargo.toml"]), Some("rust"));
        assert_eq!(name(&["Shop.csproj"]), Some("csharp"));
        assert_eq!(name(&["requirements.txt", "package.json"]), Some("python"));
        assert_eq!(name(&["main.pl"]), None);
    }
}
