//! Who is calling: bearer tokens, compared in constant time by their SHA-256.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A secret that can't be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: only for the header or file that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The tokens that open the door, each with the name of its holder.
///
/// A token file has one `NAME TOKEN` pair a line; a line with a single word is the token of `operator`. Empty lines
/// and lines that begin with `#` don't count.
#[derive(Clone, Default)]
pub struct Tokens {
    by_hash: Arc<BTreeMap<[u8; 32], String>>,
}

/// A token file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It can't be read.
    #[error("can't read the token file {path}; name one with SLIPWAY_TOKEN_FILE")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is not `NAME TOKEN`, or a token that is too easy to guess.
    #[error("{path}, line {line}: {what}")]
    Line {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// There is no token in it.
    #[error("the token file {path} holds no token, so nobody could call")]
    Empty {
        /// The file.
        path: String,
    },
}

impl Tokens {
    /// One token.
    #[must_use]
    pub fn single(holder: &str, token: &Secret) -> Self {
        Self {
            by_hash: Arc::new(BTreeMap::from([(hash(token.reveal()), holder.to_owned())])),
        }
    }

    /// The tokens of a file.
    ///
    /// # Errors
    /// When it can't be read, a line is not of the form, or there is none.
    pub fn read(path: &Path) -> Result<Self, TokenFileError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| TokenFileError::Read {
            path: name.clone(),
            source,
        })?;
        let mut by_hash = BTreeMap::new();
        for (index, line) in text
            .lines()
            .map(str::trim)
            .enumerate()
            .filter(|(_, l)| !l.is_empty() && !l.starts_with('#'))
        {
            let mut words = line.split_whitespace();
            let (holder, token) = match (words.next(), words.next(), words.next()) {
                (Some(token), None, None) => ("operator", token),
                (Some(holder), Some(token), None) => (holder, token),
                _ => {
                    return Err(TokenFileError::Line {
                        path: name,
                        line: index + 1,
                        what: "expected NAME TOKEN",
                    });
                }
            };
            if token.len() < 16 {
                let what = "a token has at least 16 characters";
                return Err(TokenFileError::Line {
                    path: name,
                    line: index + 1,
                    what,
                });
            }
            by_hash.insert(hash(token), holder.to_owned());
        }
        if by_hash.is_empty() {
            return Err(TokenFileError::Empty { path: name });
        }
        Ok(Self {
            by_hash: Arc::new(by_hash),
        })
    }

    /// The holder of a token.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<&str> {
        let given = hash(token);
        let mut found = None;
        for (known, holder) in self.by_hash.iter() {
            if bool::from(known.ct_eq(&given)) {
                found = Some(holder.as_str());
            }
        }
        found
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The name behind the token of a call, put into a request's extensions by [`crate::grpc::AuthLayer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_names_the_holders() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(
            &path,
            "# people\n\nana 0123456789abcdef\n fedcba9876543210 \n",
        )
        .unwrap();
        let tokens = Tokens::read(&path).unwrap();
        assert_eq!(tokens.holder("0123456789abcdef"), Some("ana"));
        assert_eq!(tokens.holder("fedcba9876543210"), Some("operator"));
        assert_eq!(tokens.holder("0123456789abcdeF"), None);
    }

    #[test]
    fn a_bad_token_file_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, "ana short\n").unwrap();
        let error = Tokens::read(&path).err().unwrap().to_string();
        assert!(
            error.ends_with("line 1: a token has at least 16 characters"),
            "{error}"
        );
        std::fs::write(&path, "# nobody\n").unwrap();
        assert!(matches!(
            Tokens::read(&path),
            Err(TokenFileError::Empty { .. })
        ));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
