//! Planned faults, for tests: which operation fails, and how.
//!
//! A plan is a list such as `sync:7:eio,write:12:short`. Each fault is *what*:*number*:*how*.
//!
//! | part | values |
//! |---|---|
//! | what | `read`, `write`, `sync` (file or folder), `op` (everything that changes the disk) |
//! | number | `7` (the seventh, counted from 1) or `7+` (the seventh and all after it) |
//! | how | `eio` (fails, nothing done), `short` (half is written, then it fails), `enospc` (disk full), `abort` (the process dies before), `abort-after` (… after), `torn` (… after half of a write) |

use std::str::FromStr;

/// The faults to come. The empty plan has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    faults: Vec<Fault>,
}

/// A text that is no fault plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault; write for example sync:7:eio, write:12:short, write:12+:enospc or op:31:abort")]
pub struct InvalidFaultPlan(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    target: Target,
    number: u64,
    lasting: bool,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Point(Point),
    Operation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Read,
    Write,
    Sync,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Fail,
    Short,
    NoSpace,
    Abort,
    AbortAfter,
    Torn,
}

impl FaultPlan {
    /// What happens at this point: `number` counts points of its sort, `operation` all that change the disk.
    pub(super) fn action(&self, point: Point, number: u64, operation: Option<u64>) -> Option<Action> {
        let strikes = |fault: &&Fault| {
            let number = match fault.target {
                Target::Point(target) if target == point => Some(number),
                Target::Point(_) => None,
                Target::Operation => operation,
            };
            number.is_some_and(|n| n == fault.number || (fault.lasting && n > fault.number))
        };
        self.faults.iter().find(strikes).map(|fault| fault.action)
    }
}

impl FromStr for FaultPlan {
    type Err = InvalidFaultPlan;

    fn from_str(text: &str) -> Result<FaultPlan, InvalidFaultPlan> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let faults: Result<_, _> = parts.map(|part| fault(part).ok_or_else(|| InvalidFaultPlan(part.into()))).collect();
        Ok(FaultPlan { faults: faults? })
    }
}

fn fault(text: &str) -> Option<Fault> {
    let (target, rest) = text.split_once(':')?;
    let (number, action) = rest.split_once(':')?;
    let (number, lasting) = number.strip_suffix('+').map_or((number, false), |number| (number, true));
    let target = match target {
        "read" => Target::Point(Point::Read),
        "write" => Target::Point(Point::Write),
        "sync" => Target::Point(Point::Sync),
        "op" => Target::Operation,
        _ => return None,
    };
    let action = match action {
        "eio" => Action::Fail,
        "short" => Action::Short,
        "enospc" => Action::NoSpace,
        "abort" => Action::Abort,
        "abort-after" => Action::AbortAfter,
        "torn" => Action::Torn,
        _ => return None,
    };
    Some(Fault { target, number: number.parse().ok().filter(|&number| number > 0)?, lasting, action })
}
