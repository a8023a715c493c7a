//! How much may wait for one device: whoever chose one that cannot be reached must not fill what everybody's messages go through.

use super::Notifications;
use super::delivery::{Delivery, State};
use std::collections::HashMap;
use store::Fault;

/// So many messages wait for a device, and so many urgent ones beside them; what is made beyond that is dropped.
pub const BACKLOG_MAX: usize = 100;

/// What waits for devices, with what was made and is not durable yet.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    of: HashMap<String, usize>,
}

impl Notifications {
    /// A delivery as it is made: dropped where as many wait for its device as may.
    pub(super) async fn bounded(&self, delivery: Delivery, backlogs: &mut Backlogs) -> Result<Delivery, Fault> {
        let Some(prefix) = delivery.backlog_prefix() else { return Ok(delivery) };
        let waiting = match backlogs.of.get(&prefix) {
            Some(waiting) => *waiting,
            None => self.records.list(&prefix, None, BACKLOG_MAX).await?.len(),
        };
        let has_room = waiting < BACKLOG_MAX;
        backlogs.of.insert(prefix, waiting + usize::from(has_room));
        Ok(match has_room {
            true => delivery,
            false => Delivery { state: State::Dropped, code: Some("too_many".to_owned()), ..delivery },
        })
    }
}
