//! Whether a backend may get requests, from what was seen of it. Pure.

/// Checks that may come too late in a row before a ready backend is set aside.
const LATE_ALLOWED: u32 = 3;

/// What was seen of a backend, by a readiness check or by a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It answered as it should.
    Ready,
    /// It said that it is not ready, or nothing listens there.
    Not(String),
    /// No answer in time: not there, or only slow under load.
    Late(String),
}

/// The readiness of one backend; it begins as not ready.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    pub(crate) consecutive_failures: u32,
    pub(crate) last_error: Option<String>,
}

impl Readiness {
    /// Takes in what was seen and says whether `ready` changed.
    pub(crate) fn observe(&mut self, seen: Seen) -> bool {
        let before = self.ready;
        match seen {
            Seen::Ready => {
                *self = Self {
                    ready: true,
                    consecutive_failures: 0,
                    last_error: None,
                }
            }
            Seen::Not(error) => {
                self.fail(error);
                self.ready = false;
            }
            Seen::Late(error) => {
                self.fail(error);
                self.ready &= self.consecutive_failures < LATE_ALLOWED;
            }
        }
        self.ready != before
    }

    fn fail(&mut self, error: String) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.last_error = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_sets_a_backend_aside_and_one_success_brings_it_back() {
        let mut readiness = Readiness::default();
        assert!(readiness.observe(Seen::Ready));
        assert!(readiness.observe(Seen::Not("refused".into())));
        assert!(!readiness.observe(Seen::Not("refused".into())));
        assert_eq!(
            (
                readiness.consecutive_failures,
                readiness.last_error.as_deref()
            ),
            (2, Some("refused"))
        );
        assert!(readiness.observe(Seen::Ready));
        assert_eq!(
            readiness,
            Readiness {
                ready: true,
                consecutive_failures: 0,
                last_error: None
            }
        );
    }

    #[test]
    fn slowness_is_borne_twice() {
        let mut readiness = Readiness::default();
        readiness.observe(Seen::Ready);
        assert!(!readiness.observe(Seen::Late("late".into())));
        assert!(!readiness.observe(Seen::Late("late".into())));
        assert!(readiness.observe(Seen::Late("late".into())));
    }

    #[test]
    fn a_late_first_check_does_not_make_a_backend_ready() {
        let mut readiness = Readiness::default();
        assert!(!readiness.observe(Seen::Late("late".into())));
        assert!(!readiness.ready);
    }
}
