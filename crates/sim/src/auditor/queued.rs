//! Nobody waits for a queued event, so it must not get lost: it took effect once, or it waits as one dead letter.

use super::{Case, Finding, effects, expect};
use crate::ask::{Ask, named_by, reference};
use crate::heard::{Heard, Progress, SeenTransfer};

pub(super) fn check(case: &Case<'_>, findings: &mut Vec<Finding>) {
    for told in case.told.values() {
        let (Ask::Event(movement), Some(heard)) = (&told.request.ask, told.answer()) else { continue };
        let id = told.request.id;
        let is_its = |transfer: &&SeenTransfer| {
            transfer.reference.as_deref().and_then(named_by).is_some_and(|(request, _)| request == id)
        };
        let made: Vec<&SeenTransfer> =
            case.books.transfers.iter().map(|(transfer, _)| transfer).filter(is_its).collect();
        let succeeded = made.iter().filter(|transfer| transfer.progress == Progress::Succeeded).count();
        let waiting = case.books.waiting.iter().filter(|event| **event == reference(id, 0)).count();
        expect(findings, "an event takes effect once or waits as a dead letter", succeeded + waiting == 1, || {
            format!("request {id} hears {heard:?}: {succeeded} transfers, {waiting} dead letters; {made:?}")
        });
        if let Heard::Taken(Some(transfer)) = heard {
            let is_there = made.iter().any(|made| made.id == *transfer);
            expect(findings, "what is acknowledged is in the books", is_there, || format!("request {id}: {heard:?}"));
        }
        for transfer in made {
            effects::check_end(case, told, 0, transfer, findings);
            let is_right = effects::is_between(transfer) || effects::moves(movement, transfer);
            expect(findings, "the effect is what was asked for", is_right, || {
                format!("request {id}: {movement:?} made {transfer:?}")
            });
        }
    }
}
