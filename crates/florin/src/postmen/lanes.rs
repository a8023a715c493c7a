//! How many attempts of a station may be under way for one customer and with one host, where customers choose the hosts: so
//! that a host that is slow, or a customer who chose many, never takes all places.

use std::collections::{BTreeMap, VecDeque};

/// A lane that is full and whose oldest attempt began so long ago, in microseconds, is slow: what waits for it is not kept in
/// memory.
const SLOW_US: u64 = 1_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes {
    of_customer_max: usize,
    of_host_max: usize,
    customers: BTreeMap<u64, VecDeque<u64>>,
    hosts: BTreeMap<String, VecDeque<u64>>,
}

/// Whether another attempt may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It may.
    Free,
    /// When one that is under way is over, which is soon.
    Full,
    /// When one that is under way is over, which may take long.
    Slow,
}

impl Lanes {
    /// Lanes of a station with so many places: an eighth for one customer, half for one host.
    pub(super) fn new(places: usize) -> Lanes {
        let (customers, hosts) = Default::default();
        Lanes { of_customer_max: (places / 8).max(1), of_host_max: (places / 2).max(1), customers, hosts }
    }

    /// Attempts that may be under way for one customer.
    pub(super) const fn of_customer_max(&self) -> usize {
        self.of_customer_max
    }

    /// Whether an attempt for this customer with this host may begin now.
    pub(super) fn room(&self, customer: u64, host: &str, now_us: u64) -> Room {
        let of = |under_way: Option<&VecDeque<u64>>, most: usize| match under_way {
            Some(began) if most <= began.len() => {
                let is_slow = began.front().is_some_and(|began_us| SLOW_US <= now_us.saturating_sub(*began_us));
                if is_slow { Room::Slow } else { Room::Full }
            }
            _ => Room::Free,
        };
        let of_customer = of(self.customers.get(&customer), self.of_customer_max);
        match (of_customer, of(self.hosts.get(host), self.of_host_max)) {
            (Room::Slow, _) | (_, Room::Slow) => Room::Slow,
            (Room::Full, _) | (_, Room::Full) => Room::Full,
            (Room::Free, Room::Free) => Room::Free,
        }
    }

    /// One begins.
    pub(super) fn enter(&mut self, customer: u64, host: &str, now_us: u64) {
        self.customers.entry(customer).or_default().push_back(now_us);
        self.hosts.entry(host.to_owned()).or_default().push_back(now_us);
    }

    /// One that began then is over.
    pub(super) fn leave(&mut self, customer: u64, host: &str, began_us: u64) {
        let leave = |under_way: Option<&mut VecDeque<u64>>| {
            let Some(began) = under_way else { return true };
            if let Some(place) = began.iter().position(|one| *one == began_us) {
                began.remove(place);
            }
            began.is_empty()
        };
        if leave(self.customers.get_mut(&customer)) {
            self.customers.remove(&customer);
        }
        if leave(self.hosts.get_mut(host)) {
            self.hosts.remove(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customer_and_one_host_leave_places_for_others() {
        let mut lanes = Lanes::new(32);
        for began_us in 0..4 {
            assert_eq!(lanes.room(7, "slow.example", 10), Room::Free);
            lanes.enter(7, "slow.example", began_us);
        }
        assert_eq!(lanes.room(7, "other.example", 10), Room::Full, "whatever the host");
        assert_eq!(lanes.room(8, "slow.example", 10), Room::Free);
        assert_eq!(lanes.room(7, "other.example", SLOW_US), Room::Slow);
        (100..112).for_each(|customer| lanes.enter(customer, "slow.example", 20));
        assert_eq!(lanes.room(8, "slow.example", 30), Room::Full, "whoever the customer");
        assert_eq!(lanes.room(8, "other.example", 30), Room::Free);
        lanes.leave(7, "slow.example", 0);
        assert_eq!(lanes.room(7, "slow.example", SLOW_US), Room::Free);
    }

    #[test]
    fn nothing_is_left_of_what_is_over() {
        let mut lanes = Lanes::new(1);
        lanes.enter(7, "a.example", 5);
        assert_eq!(lanes.room(8, "a.example", 5), Room::Full);
        lanes.leave(7, "a.example", 5);
        assert!(lanes.customers.is_empty() && lanes.hosts.is_empty());
    }
}
