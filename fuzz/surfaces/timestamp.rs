//! The text of instants and days.

use ledger::time::{Day, Timestamp};

/// Reads the text; what was read is written and read again as the same.
pub(crate) fn exercise(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(time) = text.parse::<Timestamp>() {
        assert!(time <= Timestamp::MAX);
        assert_eq!(time.to_string().parse(), Ok(time), "{text:?}");
        assert_eq!(time.to_string().get(..10), Some(time.day().to_string().as_str()));
        let start = time.day().start().expect("the day of an instant has a start");
        assert!(start <= time && time.microseconds() - start.microseconds() < 86_400_000_000);
    }
    if let Ok(day) = text.parse::<Day>() {
        assert_eq!(day.to_string(), text);
        let (year, month, date) = day.date();
        assert_eq!(Day::from_date(year, month, date), Some(day));
        assert!(day.is_same_month(day));
    }
    if let Ok(number) = data.try_into().map(i32::from_le_bytes) {
        // A file may hold any day.
        let (_, month, date) = Day::new(number).date();
        assert!((1..=12).contains(&month) && (1..=31).contains(&date));
    }
}
