//! How a command ends when it does not succeed: the exit code, what was wrong, and what to do next.

use std::fmt;

/// The exit codes besides 0. Scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// The answer is "no": a check failed, something was dead-lettered or refused.
    No = 1,
    /// The command was used wrongly.
    Usage = 2,
    /// Machinery failed.
    Fault = 3,
}

/// Why a command stops. Both texts are whole clauses for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) status: ExitStatus,
    /// What was wrong and where.
    pub(crate) what: String,
    /// What to do next; empty when `what` says it.
    pub(crate) next: String,
    /// Whether it says that what is stored is damaged.
    pub(crate) is_damage: bool,
}

impl Failure {
    pub(crate) fn no(what: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { status: ExitStatus::No, what: what.into(), next: next.into(), is_damage: false }
    }

    pub(crate) fn usage(what: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { status: ExitStatus::Usage, what: what.into(), next: next.into(), is_damage: false }
    }

    pub(crate) fn fault(what: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { status: ExitStatus::Fault, what: what.into(), next: next.into(), is_damage: false }
    }

    /// A fault with its whole chain of causes. What its own text says behind its last semicolon is what to do next.
    pub(crate) fn caused_by(error: &dyn std::error::Error) -> Failure {
        let text = error.to_string();
        let (what, next) = text.rsplit_once("; ").unwrap_or((&text, ""));
        let mut what = what.to_owned();
        let mut cause = error.source();
        while let Some(error) = cause {
            what.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Failure::fault(what, next)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.next.is_empty() { Ok(()) } else { write!(f, "; {}", self.next) }
    }
}

impl std::error::Error for Failure {}

impl From<store::Fault> for Failure {
    fn from(fault: store::Fault) -> Failure {
        let is_damage = matches!(fault, store::Fault::Corrupt { .. });
        Failure { is_damage, ..Failure::caused_by(&fault) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_to_do_next_apart_from_its_causes() {
        let failure = Failure::from(store::Fault::Unavailable { reason: "it is stopping".into() });
        assert_eq!(failure.what, "the shard is not available: it is stopping");
        assert_eq!(failure.next, "retry with the same key");
    }
}
