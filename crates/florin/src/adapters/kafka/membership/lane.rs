//! One partition on its way through the bank: what has come, what is under way, what waits for a fault to pass.

use crate::adapters::kafka::retry::Backoff;
use bank::ports::Env;
use std::collections::VecDeque;
use std::sync::Arc;

/// Records and bytes of one batch.
const BATCH_RECORDS: usize = 4096;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// What may gather before the library has to wait.
const GATHERED_RECORDS: usize = 8192;
const GATHERED_BYTES: usize = 8 * 1024 * 1024;

/// A record that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::adapters::kafka) struct Record {
    /// Its partition.
    pub(in crate::adapters::kafka) partition: i32,
    /// Its place there.
    pub(in crate::adapters::kafka) offset: i64,
    /// When it was sent, in milliseconds since 1970. A topic made anew counts its offsets anew; its times go on.
    pub(in crate::adapters::kafka) sent_ms: i64,
    /// What it says.
    pub(in crate::adapters::kafka) bytes: Vec<u8>,
}

impl AsRef<[u8]> for Record {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    turn: u64,
    gathered: VecDeque<Record>,
    gathered_bytes: usize,
    state: State,
    backoff: Backoff,
    /// The offset after the last record that was answered.
    next_offset: Option<i64>,
    is_held_back: bool,
}

/// Records that are handed on together.
pub(in crate::adapters::kafka) type Batch = Arc<Vec<Record>>;

#[derive(Debug)]
enum State {
    /// Nothing is under way.
    Ready,
    /// The bank works on this; the offset is that after it.
    UnderWay(Batch, i64),
    /// This could not be taken, and is submitted again at that time.
    PutOff(Batch, i64, u64),
    /// Nothing more is taken from this partition.
    Stopped,
}

impl Lane {
    /// A partition that this node has from now on.
    pub(super) fn new(turn: u64) -> Lane {
        Lane {
            turn,
            gathered: VecDeque::new(),
            gathered_bytes: 0,
            state: State::Ready,
            backoff: Backoff::default(),
            next_offset: None,
            is_held_back: false,
        }
    }

    /// Which of this node's turns with the partition this is.
    pub(super) fn turn(&self) -> u64 {
        self.turn
    }

    /// A record has come.
    pub(super) fn push(&mut self, record: Record) {
        self.gathered_bytes += record.bytes.len();
        self.gathered.push_back(record);
    }

    /// The batch to be submitted now, if there is one and nothing is under way.
    pub(super) fn begin(&mut self, now_us: u64) -> Option<Batch> {
        let (batch, end) = match &self.state {
            State::Ready if !self.gathered.is_empty() => self.next_batch(),
            State::PutOff(batch, end, due_us) if *due_us <= now_us => (Arc::clone(batch), *end),
            _ => return None,
        };
        self.state = State::UnderWay(Arc::clone(&batch), end);
        Some(batch)
    }

    fn next_batch(&mut self) -> (Batch, i64) {
        let (mut batch, mut bytes, mut end) = (Vec::new(), 0, 0);
        while let Some(record) = self.gathered.pop_front() {
            bytes += record.bytes.len();
            end = record.offset + 1;
            batch.push(record);
            let next_bytes = self.gathered.front().map_or(0, |next| next.bytes.len());
            if batch.len() == BATCH_RECORDS || BATCH_BYTES < bytes + next_bytes {
                break;
            }
        }
        self.gathered_bytes -= bytes;
        (Arc::new(batch), end)
    }

    /// What was under way is answered; the offset after it, unless the partition was stopped meanwhile.
    pub(super) fn finish(&mut self) -> Option<i64> {
        let State::UnderWay(_, end) = &self.state else { return None };
        self.next_offset = Some(*end);
        self.state = State::Ready;
        self.backoff.reset();
        self.next_offset
    }

    /// What was under way met a fault; for how many microseconds it is put off.
    pub(super) fn put_off(&mut self, env: &dyn Env) -> u64 {
        let wait_us = self.backoff.next_us(env);
        if let State::UnderWay(batch, end) = &self.state {
            self.state = State::PutOff(Arc::clone(batch), *end, env.now().microseconds() + wait_us);
        }
        wait_us
    }

    /// Takes nothing more.
    pub(super) fn stop(&mut self) {
        self.state = State::Stopped;
    }

    /// Whether the bank works on something.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.state, State::UnderWay(..))
    }

    /// Whether a fault is being waited out.
    pub(super) fn is_put_off(&self) -> bool {
        matches!(self.state, State::PutOff(..))
    }

    /// Whether nothing more is taken.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    /// The offset after the last record that was answered in this turn.
    pub(super) fn next_offset(&self) -> Option<i64> {
        self.next_offset
    }

    /// Whether the library had to wait with this partition, and whether it has to now.
    pub(super) fn hold_back(&mut self) -> (bool, bool) {
        let was = self.is_held_back;
        let is_full = GATHERED_RECORDS <= self.gathered.len() || GATHERED_BYTES <= self.gathered_bytes;
        let has_room = self.gathered.len() < GATHERED_RECORDS / 2 && self.gathered_bytes < GATHERED_BYTES / 2;
        self.is_held_back = self.is_put_off() || self.is_stopped() || is_full || (was && !has_room);
        (was, self.is_held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::env::Machine;

    fn record(offset: i64, bytes: usize) -> Record {
        Record { partition: 0, offset, sent_ms: 0, bytes: vec![0; bytes] }
    }

    fn lane(records: i64, bytes: usize) -> Lane {
        let mut lane = Lane::new(1);
        (0..records).for_each(|offset| lane.push(record(offset, bytes)));
        lane
    }

    #[test]
    fn one_batch_is_under_way_at_a_time_and_its_offset_comes_with_its_answer() {
        let mut lane = lane(5000, 10);
        assert_eq!(lane.begin(0).map(|batch| batch.len()), Some(BATCH_RECORDS));
        assert_eq!((lane.begin(0), lane.next_offset()), (None, None));
        assert_eq!(lane.finish(), Some(4096));
        assert_eq!(lane.begin(0).map(|batch| batch.len()), Some(5000 - BATCH_RECORDS));
        assert_eq!(lane.finish(), Some(5000));
        assert_eq!(lane.begin(0), None);
    }

    #[test]
    fn a_batch_is_bounded_by_its_bytes_and_a_huge_record_goes_alone() {
        let mut huge = lane(3, BATCH_BYTES + 1);
        assert_eq!(huge.begin(0).map(|batch| batch.len()), Some(1));
        let mut large = lane(10, BATCH_BYTES / 4);
        assert_eq!(large.begin(0).map(|batch| batch.len()), Some(4));
    }

    #[test]
    fn what_met_a_fault_is_submitted_again_as_it_was_and_before_anything_else() {
        let (env, mut lane) = (Machine::new(), lane(3, 10));
        let first = lane.begin(0).expect("a batch");
        lane.push(record(3, 0));
        lane.put_off(&env);
        assert_eq!(lane.hold_back(), (false, true));
        assert_eq!((lane.is_put_off(), lane.begin(0), lane.next_offset()), (true, None, None));
        assert_eq!(lane.begin(u64::MAX).as_ref(), Some(&first));
        assert_eq!((lane.finish(), lane.hold_back()), (Some(3), (true, false)));
        assert_eq!(lane.begin(0).map(|batch| batch.len()), Some(1));
    }

    #[test]
    fn what_gathers_is_bounded_and_goes_on_when_half_of_it_is_gone() {
        let mut lane = lane(8192, 10);
        assert_eq!(lane.hold_back(), (false, true));
        for _ in 0..2 {
            lane.begin(0).expect("a batch");
            assert!(lane.hold_back().0);
            lane.finish();
        }
        assert!(!lane.hold_back().1);
    }

    #[test]
    fn a_stopped_partition_takes_nothing_more() {
        let mut lane = lane(3, 10);
        lane.begin(0).expect("a batch");
        lane.stop();
        assert_eq!(lane.finish(), None);
        assert_eq!((lane.begin(u64::MAX), lane.is_stopped(), lane.hold_back()), (None, true, (false, true)));
    }
}
