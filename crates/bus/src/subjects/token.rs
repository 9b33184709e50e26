//! Makes any text safe to be one token of a subject.

use std::fmt::Write as _;

/// The longest escaped token, in bytes. Subjects have at most four tokens; a NATS server refuses control lines
/// beyond 4 KiB by closing the connection, so this must hold before anything is sent.
const MAX_TOKEN_BYTES: usize = 512;

/// Why a text cannot be part of a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// A subject cannot have an empty token.
    #[error("the {name} is empty; it must name something")]
    Empty {
        /// Which part of the subject, such as `run`.
        name: &'static str,
    },
    /// The text is too long for a subject.
    #[error(
        "the {name} is too long for a subject: {bytes} bytes after escaping, at most {MAX_TOKEN_BYTES} fit"
    )]
    TooLong {
        /// Which part of the subject, such as `run`.
        name: &'static str,
        /// Its length after escaping.
        bytes: usize,
    },
}

/// Escapes every byte outside `[A-Za-z0-9_-]` as `%XX`: no dot, wildcard or white space survives, and
/// [`unescape`] gives the text back.
pub(crate) fn escape(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            token.push(char::from(byte));
        } else {
            write!(token, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    token
}

/// The token for `text`, which is the `name` of something (used in the error only).
pub(crate) fn token(name: &'static str, text: &str) -> Result<String, SubjectError> {
    if text.is_empty() {
        return Err(SubjectError::Empty { name });
    }
    let token = escape(text);
    if token.len() > MAX_TOKEN_BYTES {
        return Err(SubjectError::TooLong {
            name,
            bytes: token.len(),
        });
    }
    Ok(token)
}

/// The text that [`escape`] made `token` from; `None` when it cannot have.
pub(crate) fn unescape(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_one_harmless_token_and_comes_back() {
        for text in [
            "*",
            ">",
            "a.b",
            "a b\r\nPUB x 1",
            "%2E",
            "ünï",
            "\0",
            "https://forge.example/team/repo.git",
        ] {
            let token = token("run", text).unwrap();
            assert!(
                !token.contains(['.', '*', '>', ' ', '\r', '\n', '\0']),
                "{token}"
            );
            assert_eq!(unescape(&token).as_deref(), Some(text));
        }
    }

    #[test]
    fn empty_and_overlong_texts_are_refused() {
        assert_eq!(token("run", ""), Err(SubjectError::Empty { name: "run" }));
        assert_eq!(
            token("run", &".".repeat(200)),
            Err(SubjectError::TooLong {
                name: "run",
                bytes: 600
            })
        );
    }

    #[test]
    fn tokens_that_escaping_cannot_make_are_not_understood() {
        for token in ["%", "%4", "%+1", "%FF"] {
            assert_eq!(unescape(token), None, "{token}");
        }
    }
}
