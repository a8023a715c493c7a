//! Messages in memory whose customer or host has as many under way as it may: so many of each, so that what is for one never keeps
//! a station from looking for what is for others.

use bank::notification::delivery::Delivery;
use std::collections::HashMap;

/// Messages kept in all, and for one host. What is for a host that answers fast goes on without a pause.
const PLACES: usize = 1024;
const OF_HOST_MAX: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct WaitingRoom {
    of_customer_max: usize,
    waiting: Vec<(Delivery, String)>,
    of_customer: HashMap<u64, usize>,
    of_host: HashMap<String, usize>,
}

impl WaitingRoom {
    /// One in which so many wait for one customer.
    pub(super) fn new(of_customer_max: usize) -> WaitingRoom {
        let (waiting, of_customer, of_host) = Default::default();
        WaitingRoom { of_customer_max, waiting, of_customer, of_host }
    }

    /// Has a message wait here, or gives it back: it has to wait elsewhere.
    ///
    /// # Errors
    /// The message.
    pub(super) fn enter(&mut self, delivery: Delivery, host: String) -> Result<(), Box<Delivery>> {
        let of_customer = self.of_customer.get(&delivery.customer).copied().unwrap_or(0);
        let of_host = self.of_host.get(&host).copied().unwrap_or(0);
        if self.of_customer_max <= of_customer || OF_HOST_MAX <= of_host || PLACES <= self.waiting.len() {
            return Err(Box::new(delivery));
        }
        self.of_customer.insert(delivery.customer, of_customer + 1);
        self.of_host.insert(host.clone(), of_host + 1);
        self.waiting.push((delivery, host));
        Ok(())
    }

    /// All that wait, the longest first: the room is empty then.
    pub(super) fn leave(&mut self) -> Vec<(Delivery, String)> {
        self.of_customer.clear();
        self.of_host.clear();
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn for_customer(customer: u64) -> Delivery {
        let delivery = json!({
            "id": "0", "channel": "web_push", "shard": 0, "sequence": 1, "customer": customer, "kind": "deposit", "facts": {},
            "state": "waiting", "attempts": 0, "booked_us": 0, "due_us": 0, "changed_us": 0,
        });
        serde_json::from_value(delivery).expect("a delivery")
    }

    /// How many of this many find a place.
    fn kept(room: &mut WaitingRoom, of: impl IntoIterator<Item = (u64, String)>) -> usize {
        of.into_iter().filter(|(customer, host)| room.enter(for_customer(*customer), host.clone()).is_ok()).count()
    }

    fn at(host: &str) -> impl Fn(u64) -> (u64, String) + '_ {
        move |customer| (customer, host.to_owned())
    }

    #[test]
    fn one_customer_and_one_host_leave_room_for_others() {
        let mut room = WaitingRoom::new(16);
        assert_eq!(kept(&mut room, (0..100).map(|host| (7, format!("{host}.example")))), 16, "whatever the host");
        assert_eq!(kept(&mut room, (100..1000).map(at("slow.example"))), OF_HOST_MAX, "whoever the customer");
        assert_eq!(kept(&mut room, (100..101).map(at("other.example"))), 1);
    }

    #[test]
    fn never_more_are_kept_than_there_are_places_and_who_left_makes_room() {
        let mut room = WaitingRoom::new(16);
        let all = || (0..2000).map(|customer| (customer, format!("{customer}.example")));
        assert_eq!(kept(&mut room, all()), PLACES);
        let left = room.leave();
        assert_eq!((left.len(), left[0].0.customer), (PLACES, 0));
        assert_eq!(kept(&mut room, left.iter().map(|(delivery, host)| (delivery.customer, host.clone()))), PLACES);
        room.leave();
        assert_eq!(kept(&mut room, (0..100).map(|_| (7, "a.example".to_owned()))), 16);
    }
}
