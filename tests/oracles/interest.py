#!/usr/bin/env python3
"""Interest of the real bank's year, worked out from the definitions with exact fractions: an oracle for tests.

It knows nothing of Florin. It reads the year's events, moves them to begin on another day, and writes for each account
and day what a deposit product accrues, posts and carries over, one line each:

    account day balance accrual posted carry

Balances and postings are in minor units; accrual and carry are fractions of minor units. Usage:

    interest.py FIXTURE FIRST_DAY DAY_COUNT POSTING MINIMUM ABOVE:PERCENT [ABOVE:PERCENT ...]
"""

import gzip
import json
import sys
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

ONE_DAY = timedelta(days=1)


def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def year_fraction(count, day):
    """Which part of a year lies between a day and the next one (ISDA 2006 definitions, section 4.16)."""
    following = day + ONE_DAY
    if count == "ACT/365F":
        return Fraction(1, 365)
    if count == "ACT/360":
        return Fraction(1, 360)
    if count == "ACT/ACT":
        return Fraction(1, 366 if is_leap(day.year) else 365)
    if count == "30E/360":
        first, second = min(day.day, 30), min(following.day, 30)
        days = 360 * (following.year - day.year) + 30 * (following.month - day.month) + (second - first)
        return Fraction(days, 360)
    raise SystemExit(f"unknown day count {count}")


def ends_period(posting, day):
    following = day + ONE_DAY
    if posting == "daily":
        return True
    if posting == "monthly":
        return following.month != day.month
    if posting == "quarterly":
        return following.month != day.month and day.month in (3, 6, 9, 12)
    raise SystemExit(f"unknown posting {posting}")


def read_year(fixture, first_day):
    """The accounts with the net change of each day, moved so that the first of January 1993 becomes another day."""
    shift = first_day - date(1993, 1, 1)
    accounts = defaultdict(lambda: defaultdict(int))
    with gzip.open(fixture, "rt") as lines:
        for line in lines:
            event = json.loads(line)
            data = event["data"]
            if event["type"] == "florin.account.opened":
                accounts[int(data["account_id"])]
            elif event["type"] in ("florin.deposit", "florin.withdrawal"):
                day = date.fromisoformat(event["time"][:10]) + shift
                minor = int(Decimal(data["amount"]) * 100)
                sign = 1 if event["type"] == "florin.deposit" else -1
                accounts[int(data["account_id"])][day] += sign * minor
    return accounts


def main():
    fixture, first_day, count, posting, minimum, *tiers = sys.argv[1:]
    first_day, minimum = date.fromisoformat(first_day), int(minimum)
    tiers = [(int(above), Fraction(percent) / 100) for above, percent in (tier.split(":") for tier in tiers)]
    bounds = [above for above, _ in tiers[1:]] + [None]

    @lru_cache(maxsize=None)
    def yearly(balance):
        """The interest of a year: each part of the balance at the rate of the tier that it lies in."""
        if balance <= 0 or balance < minimum:
            return Fraction(0)
        total = Fraction(0)
        for (above, rate), end in zip(tiers, bounds):
            part = (balance if end is None else min(balance, end)) - above
            if part > 0:
                total += part * rate
        return total

    days = [first_day + ONE_DAY * n for n in range(365)]
    fractions = {day: year_fraction(count, day) for day in days}
    out = sys.stdout
    for account, changes in sorted(read_year(fixture, first_day).items()):
        balance, carry = 0, Fraction(0)
        for day in days:
            balance += changes.get(day, 0)
            accrual = yearly(balance) * fractions[day]
            carry += accrual
            posted = carry.numerator // carry.denominator if ends_period(posting, day) else 0
            carry -= posted
            out.write(f"{account} {day} {balance} {accrual} {posted} {carry}\n")
            balance += posted  # it is there from the next day on


main()
