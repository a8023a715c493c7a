//! How much may wait for one device: whoever chose one that cannot be reached must not fill what everybody's messages go through.

use super::Notifications;
use super::delivery::{Delivery, InBacklog, State};
use std::collections::HashMap;
use store::Fault;

/// So many messages wait for a device that were tried or could have been for a while, and so many urgent ones beside them; what is
/// made beyond that is dropped.
pub const BACKLOG_MAX: usize = 100;
/// So many wait for it in all: those too that quiet hours hold, and those that have just been made, which may be sent at once.
pub const BACKLOG_ALL_MAX: usize = 500;
/// So many that say what became of a transfer, which nobody should have to guess, wait beside all others.
pub const BACKLOG_ENDS_MAX: usize = 500;

/// What waits for devices, with what was made and is not durable yet.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    of: HashMap<String, Backlog>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Backlog {
    /// Those that say no end of a transfer.
    all: usize,
    /// Those of them that were tried, or could have been for a while.
    long: usize,
    ends: usize,
}

impl Backlog {
    fn has_room(&self, place: InBacklog) -> bool {
        match place {
            InBacklog::End => self.ends < BACKLOG_ENDS_MAX,
            InBacklog::CountsFrom(_) => self.long < BACKLOG_MAX && self.all < BACKLOG_ALL_MAX,
        }
    }

    fn add(&mut self, place: InBacklog, now_us: u64) {
        match place {
            InBacklog::End => self.ends += 1,
            InBacklog::CountsFrom(from_us) => {
                self.all += 1;
                self.long += usize::from(from_us <= now_us);
            }
        }
    }
}

impl Notifications {
    /// A delivery as it is made: dropped where as many wait for its device as may.
    pub(super) async fn bounded(&self, delivery: Delivery, backlogs: &mut Backlogs) -> Result<Delivery, Fault> {
        let Some(prefix) = delivery.backlog_prefix() else { return Ok(delivery) };
        let mut backlog = match backlogs.of.get(&prefix) {
            Some(backlog) => *backlog,
            None => self.backlog(&prefix).await?,
        };
        let has_room = backlog.has_room(delivery.in_backlog());
        if has_room {
            backlog.add(delivery.in_backlog(), self.bank.now().microseconds());
        }
        backlogs.of.insert(prefix, backlog);
        Ok(match has_room {
            true => delivery,
            false => Delivery { state: State::Dropped, code: Some("too_many".to_owned()), ..delivery },
        })
    }

    async fn backlog(&self, prefix: &str) -> Result<Backlog, Fault> {
        let now_us = self.bank.now().microseconds();
        let mut backlog = Backlog::default();
        for (_, value) in self.records.list(prefix, None, BACKLOG_ALL_MAX + BACKLOG_ENDS_MAX).await? {
            backlog.add(InBacklog::read(&value), now_us);
        }
        Ok(backlog)
    }
}
