#!/usr/bin/env python3
"""A year of a real bank's standing orders, worked out without knowing Florin.

usage: standing_orders.py standing-orders.csv.gz YEAR

Each order is monthly. Its day and what becomes of a weekend follow from its number, and what its account has from the account's: so many months'
worth of all its orders, 0 to 13. The days are so that no order of a month is tried before all of the month before were: so an account pays
everything in that many months, and nothing after.

Prints one line for each order, `order ID ACCOUNT MINOR_UNITS RHYTHM HOLIDAYS done DAY,DAY,... refused DAY,DAY,...` (`-` for none), one for each account,
`account ID MINOR_UNITS_BEFORE MINOR_UNITS_AFTER`, and one for each bank that is paid, `bank CODE MINOR_UNITS`.
"""

import calendar
import csv
import gzip
import sys
from collections import defaultdict
from datetime import date


def rhythm(order):
    """The day of the month, the last at most, and the rule for weekends."""
    rule = ["same_day", "after", "before"][order % 3]
    first, last = {"same_day": (1, 31), "after": (1, 25), "before": (6, 31)}[rule]
    return first + order % (last - first + 1), rule


def due_days(day, year):
    return [date(year, month, min(day, calendar.monthrange(year, month)[1])) for month in range(1, 13)]


def main():
    path, year = sys.argv[1], int(sys.argv[2])
    with gzip.open(path, "rt", encoding="ascii", newline="") as table:
        rows = list(csv.DictReader(table))
    monthly, banks = defaultdict(int), defaultdict(int)
    for row in rows:
        row["minor"] = int(row["amount"].replace(".", ""))
        monthly[row["account_id"]] += row["minor"]
    for row in rows:
        day, rule = rhythm(int(row["order_id"]))
        paid = min(int(row["account_id"]) % 14, 12)
        days = [str(due) for due in due_days(day, year)]
        done, refused = ",".join(days[:paid]) or "-", ",".join(days[paid:]) or "-"
        banks[row["to_bank"]] += paid * row["minor"]
        print("order", row["order_id"], row["account_id"], row["minor"], day, rule, "done", done, "refused", refused)
    for account, month in monthly.items():
        months = int(account) % 14
        print("account", account, months * month, max(0, months - 12) * month)
    for bank, paid in banks.items():
        print("bank", bank, paid)


main()
