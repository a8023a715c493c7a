//! Claims about the currency table.

use super::*;

#[test]
fn table_is_sorted_by_code_so_that_a_search_finds_every_row() {
    for currency in Currency::all() {
        assert_eq!(currency.code().parse(), Ok(currency));
        assert_eq!(Currency::from_number(currency.number()), Some(currency));
    }
}

#[test]
fn decimals_are_those_of_the_standard() {
    let scale = |code: &str| code.parse::<Currency>().map(Currency::scale);
    assert_eq!([scale("EUR"), scale("JPY"), scale("KWD"), scale("CLF")], [Ok(2), Ok(0), Ok(3), Ok(4)]);
}

#[test]
fn lower_case_padding_and_metals_are_unknown() {
    for text in ["eur", " EUR", "EURO", "", "XAU", "ΕUR"] {
        assert_eq!(text.parse::<Currency>(), Err(UnknownCurrency));
    }
}
