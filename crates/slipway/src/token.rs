//! Where the token and the gateway's address are found when nobody names them.
//!
//! `slipway up` leaves both in its data directory: `token`, and `endpoint` with the gateway's URL.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// The gateway that is asked when nothing else is said.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";

/// Reads one environment variable; a variable that is empty counts as not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The process's own environment.
#[must_use]
pub fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where `slipway up` keeps its things: `SLIPWAY_DATA_DIR`, `$XDG_DATA_HOME/slipway` or `~/.local/share/slipway`.
/// `None` if not even a home is known.
#[must_use]
pub fn data_dir(environment: Environment<'_>) -> Option<PathBuf> {
    if let Some(named) = environment("SLIPWAY_DATA_DIR") {
        return Some(PathBuf::from(named));
    }
    if let Some(data) = environment("XDG_DATA_HOME") {
        return Some(Path::new(&data).join("slipway"));
    }
    environment("HOME").map(|home| Path::new(&home).join(".local/share/slipway"))
}

/// The token file: the one that `SLIPWAY_TOKEN_FILE` names, else `token` in the [`data_dir`].
#[must_use]
pub fn token_file(environment: Environment<'_>) -> Option<PathBuf> {
    environment("SLIPWAY_TOKEN_FILE")
        .map(PathBuf::from)
        .or_else(|| data_dir(environment).map(|d| d.join("token")))
}

/// The token to show, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundToken {
    /// `None` if there is none.
    pub token: Option<String>,
    /// For people: the place that it was found in, or the places that were looked at.
    pub place: String,
}

/// Looks for the token.
///
/// # Errors
/// When a file that is there can't be read.
pub fn find_token(
    given: Option<&str>,
    environment: Environment<'_>,
) -> Result<FoundToken, CliError> {
    if let Some(token) = given.map(str::trim).filter(|t| !t.is_empty()) {
        let place = "--token or SLIPWAY_TOKEN".to_owned();
        // A whole line of a token file is taken too: the name before the token is not part of it.
        return Ok(FoundToken {
            token: token_in(token),
            place,
        });
    }
    let Some(path) = token_file(environment) else {
        return Ok(FoundToken {
            token: None,
            place: "SLIPWAY_TOKEN and SLIPWAY_TOKEN_FILE".to_owned(),
        });
    };
    let shown = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(FoundToken {
            token: token_in(&text),
            place: shown,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(FoundToken {
            token: None,
            place: format!("SLIPWAY_TOKEN and {shown}"),
        }),
        Err(source) => Err(CliError::ReadFile {
            path: shown,
            source,
        }),
    }
}

/// The first token of a token file, whose lines are `TOKEN` or `NAME TOKEN`.
fn token_in(text: &str) -> Option<String> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .next()?
        .split_whitespace()
        .last()
        .map(ToOwned::to_owned)
}

/// The gateway's URL, and whether somebody named it: on the command line, in the environment, or `slipway up` in its
/// `endpoint` file.
#[must_use]
pub fn find_server(given: Option<&str>, environment: Environment<'_>) -> String {
    if let Some(server) = given.map(str::trim).filter(|s| !s.is_empty()) {
        return with_scheme(server);
    }
    let endpoint =
        data_dir(environment).and_then(|d| std::fs::read_to_string(d.join("endpoint")).ok());
    match endpoint.as_deref().map(str::trim).filter(|s| !s.is_empty()) {
        Some(server) => with_scheme(server),
        None => DEFAULT_SERVER.to_owned(),
    }
}

fn with_scheme(server: &str) -> String {
    if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + use<> {
        let map: BTreeMap<String, OsString> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.into()))
            .collect();
        move |name| map.get(name).cloned()
    }

    #[test]
    fn the_data_directory_is_the_named_one_then_the_users() {
        let all = [
            ("SLIPWAY_DATA_DIR", "/data"),
            ("XDG_DATA_HOME", "/xdg"),
            ("HOME", "/home/ana"),
        ];
        assert_eq!(data_dir(&environment(&all)), Some("/data".into()));
        assert_eq!(
            data_dir(&environment(&all[1..])),
            Some("/xdg/slipway".into())
        );
        assert_eq!(
            data_dir(&environment(&all[2..])),
            Some("/home/ana/.local/share/slipway".into())
        );
        assert_eq!(data_dir(&environment(&[])), None);
    }

    #[test]
    fn a_given_token_wins_over_a_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("token"),
            "# made by slipway up\nana 0123456789abcdef\n",
        )
        .unwrap();
        let folder = folder.path().to_str().unwrap();
        let environment = environment(&[("SLIPWAY_DATA_DIR", folder)]);
        let found = find_token(None, &environment).unwrap();
        assert_eq!(found.token.as_deref(), Some("0123456789abcdef"));
        assert_eq!(found.place, format!("{folder}/token"));
        assert_eq!(
            find_token(Some("given"), &environment)
                .unwrap()
                .token
                .as_deref(),
            Some("given")
        );
    }

    #[test]
    fn a_missing_token_says_where_it_was_looked_for() {
        let environment = environment(&[("SLIPWAY_TOKEN_FILE", "/nowhere/token")]);
        let found = find_token(None, &environment).unwrap();
        assert_eq!(
            found,
            FoundToken {
                token: None,
                place: "SLIPWAY_TOKEN and /nowhere/token".to_owned()
            }
        );
    }

    #[test]
    fn the_server_is_the_given_one_then_the_endpoint_file_then_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(&[("SLIPWAY_DATA_DIR", folder.path().to_str().unwrap())]);
        assert_eq!(find_server(None, &environment), DEFAULT_SERVER);
        std::fs::write(folder.path().join("endpoint"), "http://127.0.0.1:7999\n").unwrap();
        assert_eq!(find_server(None, &environment), "http://127.0.0.1:7999");
        assert_eq!(
            find_server(Some("ci.example:7070"), &environment),
            "http://ci.example:7070"
        );
    }
}
