//! The words on a statement, by language.

use bank::locale::Language;
use ledger::transfer::TransferKind;

/// What stands on a statement.
#[derive(Debug)]
pub(crate) struct Texts {
    /// The language's tag, for whoever reads the page aloud.
    pub(crate) tag: &'static str,
    pub(crate) title: &'static str,
    pub(crate) account: &'static str,
    pub(crate) holder: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) period: &'static str,
    pub(crate) opening: &'static str,
    pub(crate) closing: &'static str,
    pub(crate) booked: &'static str,
    pub(crate) value_date: &'static str,
    pub(crate) description: &'static str,
    pub(crate) amount: &'static str,
    pub(crate) balance: &'static str,
    pub(crate) credits: &'static str,
    pub(crate) debits: &'static str,
    pub(crate) interest: &'static str,
    pub(crate) fees: &'static str,
    pub(crate) nothing: &'static str,
    pub(crate) late: &'static str,
    /// Before the account that money went to.
    pub(crate) to: &'static str,
    /// Before the account that it came from.
    pub(crate) from: &'static str,
    page: &'static str,
    of: &'static str,
    after: &'static str,
    /// In the order of [`TransferKind::ALL`].
    kinds: [&'static str; TransferKind::ALL.len()],
}

impl Texts {
    /// The texts of a language.
    pub(crate) fn of(language: Language) -> &'static Texts {
        match language {
            Language::English => &ENGLISH,
            Language::Czech => &CZECH,
            Language::German => &GERMAN,
            Language::Greek => &GREEK,
            Language::Japanese => &JAPANESE,
        }
    }

    pub(crate) fn kind(&self, kind: TransferKind) -> &'static str {
        let place = TransferKind::ALL.iter().position(|known| *known == kind);
        place.and_then(|place| self.kinds.get(place)).copied().unwrap_or_default()
    }

    /// Such as "Page 1 of 3".
    pub(crate) fn page(&self, number: usize, count: usize) -> String {
        format!("{}{number}{}{count}{}", self.page, self.of, self.after)
    }
}

const ENGLISH: Texts = Texts {
    tag: "en",
    title: "Account statement",
    account: "Account",
    holder: "Account holder",
    currency: "Currency",
    period: "Period",
    opening: "Opening balance",
    closing: "Closing balance",
    booked: "Booked",
    value_date: "Value date",
    description: "Description",
    amount: "Amount",
    balance: "Balance",
    credits: "Paid in",
    debits: "Paid out",
    interest: "Interest",
    fees: "Fees",
    nothing: "There were no movements in this period.",
    late: "booked late",
    to: "to account",
    from: "from account",
    page: "Page ",
    of: " of ",
    after: "",
    kinds: ["Deposit", "Withdrawal", "Transfer", "Payment", "Reversal", "Move", "Interest", "Fee", "Exchange"],
};

const CZECH: Texts = Texts {
    tag: "cs",
    title: "Výpis z účtu",
    account: "Účet",
    holder: "Majitel účtu",
    currency: "Měna",
    period: "Období",
    opening: "Počáteční zůstatek",
    closing: "Konečný zůstatek",
    booked: "Zaúčtováno",
    value_date: "Valuta",
    description: "Popis",
    amount: "Částka",
    balance: "Zůstatek",
    credits: "Připsáno",
    debits: "Odepsáno",
    interest: "Úroky",
    fees: "Poplatky",
    nothing: "V tomto období nebyly žádné pohyby.",
    late: "zaúčtováno dodatečně",
    to: "na účet",
    from: "z účtu",
    page: "Strana ",
    of: " z ",
    after: "",
    kinds: ["Vklad", "Výběr", "Převod", "Platba", "Storno", "Přesun", "Úrok", "Poplatek", "Směna"],
};

const GERMAN: Texts = Texts {
    tag: "de",
    title: "Kontoauszug",
    account: "Konto",
    holder: "Kontoinhaber",
    currency: "Währung",
    period: "Zeitraum",
    opening: "Anfangssaldo",
    closing: "Endsaldo",
    booked: "Buchung",
    value_date: "Valuta",
    description: "Beschreibung",
    amount: "Betrag",
    balance: "Saldo",
    credits: "Gutschriften",
    debits: "Belastungen",
    interest: "Zinsen",
    fees: "Gebühren",
    nothing: "In diesem Zeitraum gab es keine Umsätze.",
    late: "nachträglich gebucht",
    to: "an Konto",
    from: "von Konto",
    page: "Seite ",
    of: " von ",
    after: "",
    kinds: ["Einzahlung", "Auszahlung", "Überweisung", "Zahlung", "Storno", "Umzug", "Zinsen", "Gebühr", "Umtausch"],
};

const GREEK: Texts = Texts {
    tag: "el",
    title: "Κίνηση λογαριασμού",
    account: "Λογαριασμός",
    holder: "Δικαιούχος",
    currency: "Νόμισμα",
    period: "Περίοδος",
    opening: "Αρχικό υπόλοιπο",
    closing: "Τελικό υπόλοιπο",
    booked: "Καταχώριση",
    value_date: "Αξία",
    description: "Περιγραφή",
    amount: "Ποσό",
    balance: "Υπόλοιπο",
    credits: "Πιστώσεις",
    debits: "Χρεώσεις",
    interest: "Τόκοι",
    fees: "Προμήθειες",
    nothing: "Δεν υπήρξαν κινήσεις σε αυτή την περίοδο.",
    late: "εκ των υστέρων",
    to: "προς λογαριασμό",
    from: "από λογαριασμό",
    page: "Σελίδα ",
    of: " από ",
    after: "",
    kinds: [
        "Κατάθεση",
        "Ανάληψη",
        "Μεταφορά",
        "Πληρωμή",
        "Αντιλογισμός",
        "Μετακίνηση",
        "Τόκος",
        "Προμήθεια",
        "Συνάλλαγμα",
    ],
};

const JAPANESE: Texts = Texts {
    tag: "ja",
    title: "取引明細書",
    account: "口座番号",
    holder: "口座名義",
    currency: "通貨",
    period: "対象期間",
    opening: "前月繰越残高",
    closing: "当月末残高",
    booked: "取引日",
    value_date: "起算日",
    description: "摘要",
    amount: "金額",
    balance: "残高",
    credits: "入金合計",
    debits: "出金合計",
    interest: "利息",
    fees: "手数料",
    nothing: "この期間のお取引はありません。",
    late: "後日記帳",
    to: "振込先",
    from: "振込元",
    page: "",
    of: " / ",
    after: " ページ",
    kinds: ["入金", "出金", "振替", "支払", "取消", "移管", "利息", "手数料", "両替"],
};
