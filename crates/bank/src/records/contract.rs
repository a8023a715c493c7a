//! What everything that keeps records must do, as one check for all of them.

use crate::ports::{Expected, Record, RecordChange, Records};
use store::Fault;

/// Checks that empty records keep the contract of [`Records`].
///
/// # Errors
/// A fault of the records.
///
/// # Panics
/// Where they break it.
pub async fn check(records: &dyn Records) -> Result<(), Fault> {
    what_is_kept_is_found(records).await?;
    changes_are_made_together_or_not_at_all(records).await?;
    of_two_changes_of_one_record_none_is_made(records).await?;
    a_change_is_made_only_where_it_finds_what_it_expects(records).await?;
    lists_are_in_the_order_of_bytes_and_go_on_after_a_key(records).await
}

fn put(key: &str, value: &[u8]) -> RecordChange {
    RecordChange { key: key.into(), expected: Expected::Anything, value: Some(value.into()) }
}

async fn what_is_kept_is_found(records: &dyn Records) -> Result<(), Fault> {
    assert_eq!(records.get("found/a").await?, None);
    assert!(records.change(vec![put("found/a", b"1"), put("found/b", &[0, 255])]).await?);
    assert_eq!(records.get("found/a").await?.as_deref(), Some(&b"1"[..]));
    assert_eq!(records.get("found/b").await?.as_deref(), Some(&[0, 255][..]));
    assert!(records.change(vec![put("found/a", b""), RecordChange::remove("found/b")]).await?);
    assert_eq!(records.get("found/a").await?.as_deref(), Some(&b""[..]), "an empty value is a value");
    assert_eq!(records.get("found/b").await?, None);
    assert!(records.change(vec![RecordChange::remove("found/b")]).await?, "what is not there can be removed");
    assert!(records.change(Vec::new()).await?);
    Ok(())
}

async fn changes_are_made_together_or_not_at_all(records: &dyn Records) -> Result<(), Fault> {
    assert!(records.change(vec![put("together/b", b"1")]).await?);
    for place in 0..5 {
        let mut changes = vec![
            put("together/a", b"2"),
            put("together/c", b"2"),
            RecordChange::remove("together/b"),
            put("together/d", b"2").expecting(Expected::Absent),
        ];
        changes.insert(place, put("together/wrong", b"2").expecting(Expected::Exactly(b"0".into())));
        assert!(!records.change(changes).await?);
        assert_eq!(records.list("together/", None, 10).await?, [("together/b".to_owned(), b"1".to_vec())]);
    }
    Ok(())
}

async fn of_two_changes_of_one_record_none_is_made(records: &dyn Records) -> Result<(), Fault> {
    for second in [put("twice/a", b"2"), put("twice/a", b"1"), RecordChange::remove("twice/a")] {
        let refused = records.change(vec![put("twice/a", b"1"), put("twice/b", b"1"), second]).await;
        assert!(matches!(refused, Err(Fault::Corrupt { .. })), "{refused:?}");
        assert_eq!(records.list("twice/", None, 10).await?, []);
    }
    Ok(())
}

async fn a_change_is_made_only_where_it_finds_what_it_expects(records: &dyn Records) -> Result<(), Fault> {
    let key = "expected";
    let (absent, one) = (Expected::Absent, Expected::Exactly(b"1".into()));
    let remove = || RecordChange::remove(key);
    assert!(!records.change(vec![put(key, b"2").expecting(one.clone())]).await?);
    assert!(!records.change(vec![remove().expecting(one.clone())]).await?);
    assert!(records.change(vec![remove().expecting(absent.clone())]).await?);
    assert!(records.change(vec![put(key, b"1").expecting(absent.clone())]).await?);
    assert!(!records.change(vec![put(key, b"2").expecting(absent.clone())]).await?);
    assert!(!records.change(vec![remove().expecting(absent)]).await?);
    assert_eq!(records.get(key).await?.as_deref(), Some(&b"1"[..]));
    assert!(records.change(vec![put(key, b"2").expecting(one.clone())]).await?);
    assert!(!records.change(vec![remove().expecting(one)]).await?);
    assert!(records.change(vec![remove().expecting(Expected::Exactly(b"2".into()))]).await?);
    assert_eq!(records.get(key).await?, None);
    Ok(())
}

async fn lists_are_in_the_order_of_bytes_and_go_on_after_a_key(records: &dyn Records) -> Result<(), Fault> {
    let keys = ["list", "list/", "list/10", "list/9", "list/Z", "list/_", "list/a", "list/é", "list0", "lisu"];
    assert!(records.change(keys.iter().rev().map(|key| put(key, key.as_bytes())).collect()).await?);
    let expected: Vec<Record> = keys[1..8].iter().map(|key| ((*key).to_owned(), key.as_bytes().to_vec())).collect();
    assert_eq!(records.list("list/", None, 100).await?, expected);
    let mut paged: Vec<Record> = Vec::new();
    for _ in 0..=expected.len() / 2 {
        let after = paged.last().map(|(key, _)| key.clone());
        paged.extend(records.list("list/", after.as_deref(), 2).await?);
    }
    assert_eq!(paged, expected);
    assert_eq!(records.list("list/", Some("a"), 1).await?, expected[..1], "what comes before all is before the first");
    assert_eq!(records.list("list/", Some("z"), 1).await?, []);
    assert_eq!(records.list("list/", None, 0).await?, []);
    Ok(())
}
