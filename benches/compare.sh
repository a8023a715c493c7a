#!/usr/bin/env bash
# Runs Florin's engine and TigerBeetle's own benchmark in turn, on the same disk, and prints medians and their ratio.
#
# Both move random amounts between random accounts in batches of 8,192, each transfer with an id of its own, and count a
# transfer when it is durable. In turn, so that a disk that becomes slower or a neighbour hits both alike. What is compared is
# one process of each, with the client in it or beside it as its own benchmark does.
#
#   TIGERBEETLE=path/to/tigerbeetle benches/compare.sh
#
# ROUNDS (default 5), TRANSFERS (10000000), ACCOUNTS (10000), FLORIN (target/release/florin), FOLDER (target)
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-5}
transfers=${TRANSFERS:-10000000}
accounts=${ACCOUNTS:-10000}
florin=${FLORIN:-target/release/florin}
folder=${FOLDER:-target}

fail() {
    echo "error: $*" >&2
    exit 2
}

[ -n "${TIGERBEETLE:-}" ] || fail "set TIGERBEETLE to the program of TigerBeetle to compare with"
[ -x "$TIGERBEETLE" ] || fail "$TIGERBEETLE is not a program"
[ -x "$florin" ] || fail "$florin is not there: cargo build --release -p florin"
mkdir -p "$folder"
work=$(mktemp -d "$folder/compare.XXXXXX")
trap 'rm -rf "$work"' EXIT

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p"; }

# Both rates of our engine: durable, and durable and indexed.
run_florin() {
    local result
    result=$("$florin" bench engine --transfers "$transfers" --accounts "$accounts" --data "$work/florin" --json --quiet | tail -n 1)
    rm -rf "$work/florin"
    [ -n "$result" ] || fail "florin bench engine printed nothing"
    field transfers_per_s_durable <<<"$result" >>"$work/florin-durable"
    field transfers_per_s_indexed <<<"$result" >>"$work/florin-indexed"
}

# The line is `load accepted = 123456 tx/s`. The data file is made in the folder it runs in.
run_tigerbeetle() {
    local program result
    program=$(realpath "$TIGERBEETLE")
    mkdir "$work/tigerbeetle"
    result=$(cd "$work/tigerbeetle" && "$program" benchmark --transfer-count="$transfers" --account-count="$accounts" 2>&1) ||
        fail "tigerbeetle benchmark failed: $result"
    rm -rf "$work/tigerbeetle"
    result=$(sed -n 's/.*load accepted = \([0-9]*\) tx\/s.*/\1/p' <<<"$result" | tail -n 1)
    [ -n "$result" ] || fail "tigerbeetle benchmark did not print its load"
    echo "$result" >>"$work/tigerbeetle-load"
}

for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    run_florin
    run_tigerbeetle
done

ours=$(median <"$work/florin-durable")
indexed=$(median <"$work/florin-indexed")
theirs=$(median <"$work/tigerbeetle-load")
echo "$transfers transfers, $accounts accounts, medians of $rounds rounds in turn"
printf '%-36s %12s transfers/s\n' "florin, durable" "$ours" "florin, durable and indexed" "$indexed" "tigerbeetle benchmark" "$theirs"
awk -v ours="$ours" -v indexed="$indexed" -v theirs="$theirs" \
    'BEGIN { printf "ratio to tigerbeetle: durable %.2f, indexed %.2f\n", ours / theirs, indexed / theirs }'
