//! A statement as ISO 20022 `camt.053.001.08` (Bank to Customer Statement), which accounting programs read. Amounts are
//! unsigned with an indicator of their side, days and times in UTC.

use crate::Letterhead;
use bank::statement::{Line, Statement};
use ledger::amount::Decimal;
use ledger::transfer::TransferKind;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io;

/// The namespace of the message.
pub const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08";

/// Most characters of a name in the message (`Max140Text`).
const NAME_MAX: usize = 140;
/// Most characters of a line of remittance information (`Max140Text`).
const REMITTANCE_MAX: usize = 140;

type Element<'a> = &'a mut Writer<Vec<u8>>;

/// The file. `number` counts the account's statements of this month from 1.
pub fn write(statement: &Statement, letterhead: &Letterhead, number: u32) -> Vec<u8> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 1);
    let written = document(&mut writer, statement, letterhead, number);
    written.expect("a vector takes everything");
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    bytes
}

fn document(out: Element, statement: &Statement, letterhead: &Letterhead, number: u32) -> io::Result<()> {
    out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let id = format!("{}-{}-{number}", statement.account, statement.month);
    out.create_element("Document").with_attribute(("xmlns", NAMESPACE)).write_inner_content(|out| {
        parent(out, "BkToCstmrStmt", |out| {
            parent(out, "GrpHdr", |out| {
                text(out, "MsgId", &id)?;
                text(out, "CreDtTm", &statement.as_of.to_string())
            })?;
            parent(out, "Stmt", |out| body(out, statement, letterhead, &id, number))
        })
    })?;
    Ok(())
}

fn body(out: Element, statement: &Statement, letterhead: &Letterhead, id: &str, number: u32) -> io::Result<()> {
    text(out, "Id", id)?;
    text(out, "ElctrncSeqNb", &number.to_string())?;
    text(out, "CreDtTm", &statement.as_of.to_string())?;
    parent(out, "FrToDt", |out| {
        text(out, "FrDtTm", &statement.month.start().to_string())?;
        text(out, "ToDtTm", &statement.month.end().to_string())
    })?;
    parent(out, "Acct", |out| account(out, statement, letterhead))?;
    balance(out, "OPBD", statement, statement.opening, &statement.month.first_day().to_string())?;
    balance(out, "CLBD", statement, statement.closing, &statement.last_day().to_string())?;
    parent(out, "TxsSummry", |out| {
        let (credits, debits): (Vec<&Line>, Vec<&Line>) = statement.lines.iter().partition(|line| 0 <= line.amount);
        sum(out, "TtlCdtNtries", credits.len(), statement.totals.credits, statement)?;
        sum(out, "TtlDbtNtries", debits.len(), statement.totals.debits, statement)
    })?;
    statement.lines.iter().try_for_each(|line| parent(out, "Ntry", |out| entry(out, statement, line)))
}

fn account(out: Element, statement: &Statement, letterhead: &Letterhead) -> io::Result<()> {
    parent(out, "Id", |out| parent(out, "Othr", |out| text(out, "Id", &statement.account.to_string())))?;
    text(out, "Ccy", statement.currency.code())?;
    if let Some(holder) = &statement.holder {
        parent(out, "Ownr", |out| text(out, "Nm", &cut(holder, NAME_MAX)))?;
    }
    if letterhead.name.is_empty() {
        return Ok(());
    }
    parent(out, "Svcr", |out| parent(out, "FinInstnId", |out| text(out, "Nm", &cut(&letterhead.name, NAME_MAX))))
}

fn balance(out: Element, code: &str, statement: &Statement, minor_units: i128, day: &str) -> io::Result<()> {
    parent(out, "Bal", |out| {
        parent(out, "Tp", |out| parent(out, "CdOrPrtry", |out| text(out, "Cd", code)))?;
        amount(out, statement, minor_units)?;
        parent(out, "Dt", |out| text(out, "Dt", day))
    })
}

/// An amount without its sign, and the side.
fn amount(out: Element, statement: &Statement, minor_units: i128) -> io::Result<()> {
    let decimal = Decimal { minor_units: minor_units.abs(), scale: statement.currency.scale() }.to_string();
    let element = out.create_element("Amt").with_attribute(("Ccy", statement.currency.code()));
    element.write_text_content(BytesText::new(&decimal))?;
    text(out, "CdtDbtInd", if minor_units < 0 { "DBIT" } else { "CRDT" })
}

fn sum(out: Element, name: &str, count: usize, minor_units: i128, statement: &Statement) -> io::Result<()> {
    parent(out, name, |out| {
        text(out, "NbOfNtries", &count.to_string())?;
        text(out, "Sum", &Decimal { minor_units, scale: statement.currency.scale() }.to_string())
    })
}

fn entry(out: Element, statement: &Statement, line: &Line) -> io::Result<()> {
    text(out, "NtryRef", &line.version.to_string())?;
    amount(out, statement, line.amount)?;
    if line.kind == TransferKind::Reversal {
        text(out, "RvslInd", "true")?;
    }
    parent(out, "Sts", |out| text(out, "Cd", "BOOK"))?;
    parent(out, "BookgDt", |out| text(out, "DtTm", &line.booked_at.to_string()))?;
    parent(out, "ValDt", |out| text(out, "Dt", &line.effective_at.day().to_string()))?;
    text(out, "AcctSvcrRef", &line.transfer.to_string())?;
    parent(out, "BkTxCd", |out| {
        parent(out, "Prtry", |out| {
            text(out, "Cd", line.told_kind().name())?;
            text(out, "Issr", "Florin")
        })
    })?;
    if line.counterparty.is_none() && line.reference.is_none() {
        return Ok(());
    }
    parent(out, "NtryDtls", |out| parent(out, "TxDtls", |out| details(out, line)))
}

fn details(out: Element, line: &Line) -> io::Result<()> {
    if let Some(other) = line.counterparty {
        let side = if line.amount < 0 { "CdtrAcct" } else { "DbtrAcct" };
        parent(out, "RltdPties", |out| {
            parent(out, side, |out| {
                parent(out, "Id", |out| parent(out, "Othr", |out| text(out, "Id", &other.to_string())))
            })
        })?;
    }
    let Some(reference) = line.reference.as_deref().filter(|reference| !reference.is_empty()) else { return Ok(()) };
    let characters: Vec<char> = reference.chars().map(allowed).collect();
    parent(out, "RmtInf", |out| {
        characters.chunks(REMITTANCE_MAX).try_for_each(|part| text(out, "Ustrd", &part.iter().collect::<String>()))
    })
}

fn parent(out: Element, name: &str, inner: impl FnOnce(Element) -> io::Result<()>) -> io::Result<()> {
    out.create_element(name).write_inner_content(inner)?;
    Ok(())
}

fn text(out: Element, name: &str, content: &str) -> io::Result<()> {
    out.create_element(name).write_text_content(BytesText::new(content))?;
    Ok(())
}

fn cut(text: &str, characters_max: usize) -> String {
    text.chars().take(characters_max).map(allowed).collect()
}

/// XML 1.0 has no way to write control characters.
fn allowed(character: char) -> char {
    if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') { ' ' } else { character }
}
