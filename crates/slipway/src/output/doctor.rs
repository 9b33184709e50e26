//! What `doctor` found, for scripts.

use serde::Serialize;

/// The answer of `doctor`.
#[derive(Debug, Serialize)]
pub struct Examination {
    /// Whether everything that is needed works.
    pub ok: bool,
    /// Check by check.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, such as `docker`.
    pub name: String,
    /// How it is.
    pub state: Health,
    /// What was found.
    pub detail: String,
    /// What to do; empty if all is well.
    pub mend: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Works, or is not needed here.
    Warn,
    /// Needed, and doesn't work.
    Fail,
}

impl Examination {
    /// All checks together.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        Self {
            ok: checks.iter().all(|c| c.state != Health::Fail),
            checks,
        }
    }
}

impl Check {
    /// All is well.
    #[must_use]
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: Health::Ok,
            detail: detail.into(),
            mend: String::new(),
        }
    }

    /// Something is missing: a failure where it is `needed`, else a warning.
    #[must_use]
    pub fn bad(
        name: impl Into<String>,
        needed: bool,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let state = if needed { Health::Fail } else { Health::Warn };
        Self {
            name: name.into(),
            state,
            detail: detail.into(),
            mend: mend.into(),
        }
    }
}
