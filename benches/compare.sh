#!/usr/bin/env bash
# Measures Florin, beside TigerBeetle where there is something to compare, on one disk, and prints medians.
#
#   TIGERBEETLE=path/to/tigerbeetle benches/compare.sh [engine|rows]    # engine without a name
#   benches/compare.sh reads|growth|http
#   benches/compare.sh --data FOLDER …                                  # makes its folders there, and removes them
#
# engine: `florin bench engine` against `tigerbeetle benchmark`.
# rows:   a server of ours over loopback, loaded with binary rows by a client process, against the same.
# reads:  a server loaded with rows, without and with clients that read beside; no comparison.
# growth: the engine with many transfers (100 million): rate of the first and the last tenth, memory, bytes on disk; then
#         the process is killed, and it is measured how long opening its folder takes until the bank is ready.
#
# http:   a server of ours and a bare one (benches/bare) that only parses and answers, asked in turn by wrk: 64 clients with
#         one transfer a request, then 8 with batches of 1,000.
#
# Both programs move random amounts between random accounts in batches of 8,192, each transfer with an id of its own, and
# count a transfer when it is durable. They take turns, so that a disk that becomes slower or a neighbour hits both alike.
#
# ROUNDS (default 5; rows, reads and http 3), TRANSFERS (10000000; growth 100000000), ACCOUNTS (10000; growth 1000000),
# CLIENTS (4: requests of rows in flight), READ_CLIENTS (4),
# SECONDS_EACH (http: 4), BARE_PORT (http: 7979), FLORIN (target/release/florin), FOLDER (target; as --data)
set -euo pipefail
cd "$(dirname "$0")/.."

florin=${FLORIN:-target/release/florin}
folder=${FOLDER:-target}
batch=8192
clients=${CLIENTS:-4}
read_clients=${READ_CLIENTS:-4}
# Journal and indexes take about 120 bytes a transfer, and a merge keeps old and new for a while.
growth_bytes_per_transfer=200
growth_margin_bytes=$((2 << 30))

fail() {
    echo "error: $*" >&2
    exit 2
}

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

ratio() { awk -v ours="$1" -v theirs="$2" 'BEGIN { printf "%.2f", ours / theirs }'; }

# A number of a JSON object on stdin.
field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p"; }

# The rates of a JSON object's tenths, one a line.
tenths() { sed -n 's/.*"transfers_per_s_tenths":\[\([0-9,]*\)\].*/\1/p' | tr ',' '\n'; }

print_rate() { printf '%-36s %12s transfers/s\n' "$1" "$2"; }

need_tigerbeetle() {
    [ -n "${TIGERBEETLE:-}" ] || fail "set TIGERBEETLE to the program of TigerBeetle to compare with"
    [ -x "$TIGERBEETLE" ] || fail "$TIGERBEETLE is not a program"
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

# Both rates of our engine: durable, and durable and indexed.
run_engine() {
    local result
    result=$("$florin" bench engine --transfers "$transfers" --accounts "$accounts" --batch "$batch" --data "$work/florin" \
        --json --quiet | tail -n 1)
    rm -rf "$work/florin"
    [ -n "$result" ] || fail "florin bench engine printed nothing"
    keep_rates "$result"
}

keep_rates() {
    field transfers_per_s_durable <<<"$1" >>"$work/florin-durable"
    field transfers_per_s_indexed <<<"$1" >>"$work/florin-indexed"
}

# Starts a bank in the folder $work/florin; when it returns, $server is its process and $url says where it listens.
start_server() {
    : >"$work/listening"
    "$florin" serve --data "$work/florin" --listen 127.0.0.1:0 --no-auth --quiet >"$work/listening" &
    server=$!
    until url=$(sed -n 's/^florin is listening on //p' "$work/listening") && [ -n "$url" ]; do
        kill -0 "$server" 2>/dev/null || fail "florin serve ended"
        sleep 0.01
    done
}

stop_server() {
    kill "$server"
    wait "$server" || true
    server=
    rm -rf "$work/florin"
}

# Loads a new server with rows, with so many clients that read beside; prints the client's JSON.
run_rows() {
    local result
    start_server
    result=$("$florin" bench http --url "$url" --rows --batch "$batch" --clients "$clients" --read-clients "$1" \
        --transfers "$transfers" --accounts "$accounts" --json --quiet | tail -n 1)
    stop_server
    [ -n "$result" ] || fail "florin bench http printed nothing"
    last=$result
}

print_comparison() {
    local ours indexed theirs
    ours=$(median <"$work/florin-durable")
    indexed=$(median <"$work/florin-indexed")
    theirs=$(median <"$work/tigerbeetle-load")
    echo "$transfers transfers, $accounts accounts, medians of $rounds rounds in turn"
    print_rate "florin, durable" "$ours"
    print_rate "florin, durable and indexed" "$indexed"
    print_rate "tigerbeetle benchmark" "$theirs"
    echo "ratio to tigerbeetle: durable $(ratio "$ours" "$theirs"), indexed $(ratio "$indexed" "$theirs")"
}

# A round that is not counted, then those that are.
rounds_of() {
    local round
    for round in $(seq 0 "$rounds"); do
        echo "round $round of $rounds" >&2
        "$1"
        [ "$round" != 0 ] || rm -f "$work"/*-*
    done
}

engine_round() {
    run_engine
    run_tigerbeetle
}

compare_engine() {
    need_tigerbeetle
    rounds=${ROUNDS:-5} transfers=${TRANSFERS:-10000000} accounts=${ACCOUNTS:-10000}
    rounds_of engine_round
    print_comparison
}

rows_round() {
    run_rows 0
    keep_rates "$last"
    run_tigerbeetle
}

compare_rows() {
    need_tigerbeetle
    rounds=${ROUNDS:-3} transfers=${TRANSFERS:-10000000} accounts=${ACCOUNTS:-10000}
    rounds_of rows_round
    echo "rows over loopback, batches of $batch, $clients requests in flight"
    print_comparison
}

measure_reads() {
    rounds=${ROUNDS:-3} transfers=${TRANSFERS:-10000000} accounts=${ACCOUNTS:-10000}
    for round in $(seq "$rounds"); do
        echo "round $round of $rounds" >&2
        run_rows 0
        field transfers_per_s_durable <<<"$last" >>"$work/alone"
        run_rows "$read_clients"
        field transfers_per_s_durable <<<"$last" >>"$work/beside"
        for name in reads_per_s reads_p50_ms reads_p99_ms; do
            field "$name" <<<"$last" >>"$work/$name"
        done
    done
    echo "rows over loopback, $transfers transfers, $accounts accounts, medians of $rounds rounds in turn"
    print_rate "florin, nobody reads" "$(median <"$work/alone")"
    print_rate "florin, $read_clients clients read" "$(median <"$work/beside")"
    printf '%-36s %12s reads/s, p50 %s ms, p99 %s ms\n' "reads beside" \
        "$(median <"$work/reads_per_s")" "$(median <"$work/reads_p50_ms")" "$(median <"$work/reads_p99_ms")"
}

check_free_space() {
    local free needed
    free=$(($(df --output=avail --block-size=1 "$work" | tail -n 1)))
    needed=$((transfers * growth_bytes_per_transfer + growth_margin_bytes))
    [ "$needed" -le "$free" ] ||
        fail "$transfers transfers need $((needed >> 30)) GiB, but $folder has $((free >> 30)) GiB free; name another folder with --data"
}

measure_growth() {
    local result start end
    transfers=${TRANSFERS:-100000000} accounts=${ACCOUNTS:-1000000}
    check_free_space
    "$florin" bench engine --transfers "$transfers" --accounts "$accounts" --batch "$batch" --data "$work/florin" \
        --json --quiet --stay >"$work/result" &
    server=$!
    until [ -s "$work/result" ]; do
        kill -0 "$server" 2>/dev/null || fail "florin bench engine ended"
        sleep 0.2
    done
    result=$(tail -n 1 "$work/result")
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
    echo "$transfers transfers, $accounts accounts"
    print_rate "florin, the first tenth" "$(tenths <<<"$result" | head -n 1)"
    print_rate "florin, the last tenth" "$(tenths <<<"$result" | tail -n 1)"
    print_rate "florin, all, durable" "$(field transfers_per_s_durable <<<"$result")"
    printf '%-36s %12s MiB\n' "memory at the end" "$(field rss_mb <<<"$result")"
    printf '%-36s %12s bytes\n' "a transfer on disk, all in" "$(field bytes_per_transfer <<<"$result")"
    start=$(date +%s%N)
    start_server
    end=$(date +%s%N)
    printf '%-36s %12s ms\n' "opening after SIGKILL, until ready" $(((end - start) / 1000000))
    stop_server
}

# Accounts 1 to $accounts of one user, as events.
print_accounts() {
    echo '{"specversion":"1.0","id":"user","source":"bench","type":"florin.user.registered","data":{"user_id":"1","name":"Bench"}}'
    seq "$accounts" | sed 's|.*|{"specversion":"1.0","id":"account-&","source":"bench","type":"florin.account.opened","data":{"account_id":"&","user_id":"1","currency":"EUR","type":"checking","overdraft_limit":"1000000000.00"}}|'
}

# wrk with one of the scripts beside this one, against one server; notes requests a second and the 99th percentile.
run_wrk() {
    local result name=$1 url=$2 script=$3 threads=$4 connections=$5
    result=$(RUN=$RANDOM-$RANDOM ACCOUNTS=$accounts wrk -t "$threads" -c "$connections" -d "${seconds}s" --latency \
        -s "benches/$script.lua" "$url")
    ! grep -q 'Non-2xx' <<<"$result" || fail "$name refused requests: $result"
    awk '/Requests\/sec/ { print $2 }' <<<"$result" >>"$work/$name-$script-rate"
    awk '$1 == "99%" { print $2 }' <<<"$result" >>"$work/$name-$script-p99"
}

http_round() {
    run_wrk bare "$bare_url" transfer 2 64
    run_wrk florin "$url" transfer 2 64
    run_wrk bare "$bare_url" batch 1 8
    run_wrk florin "$url" batch 1 8
}

compare_http() {
    local script
    rounds=${ROUNDS:-3} accounts=${ACCOUNTS:-1000} seconds=${SECONDS_EACH:-4} bare_url=http://127.0.0.1:${BARE_PORT:-7979}
    command -v wrk >/dev/null || fail "wrk is not installed: apt-get install wrk"
    cargo build --quiet --release --manifest-path benches/bare/Cargo.toml
    benches/bare/target/release/bare "${bare_url#http://}" &
    bare=$!
    start_server
    print_accounts | curl --silent --fail --output /dev/null -H 'Content-Type: application/x-ndjson' --data-binary @- "$url/api/v1/events"
    rounds_of http_round
    kill "$bare"
    stop_server
    for script in transfer batch; do
        echo "$script.lua, medians of $rounds rounds in turn"
        for name in florin bare; do
            printf '%-36s %12s requests/s, p99 %s\n' "$name" "$(median <"$work/$name-$script-rate")" "$(median <"$work/$name-$script-p99")"
        done
        echo "ratio $(ratio "$(median <"$work/florin-$script-rate")" "$(median <"$work/bare-$script-rate")")"
    done
}

clean_up() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    [ -z "$bare" ] || kill -KILL "$bare" 2>/dev/null || true
    rm -rf "$work"
}

if [ "${1:-}" = --data ]; then
    folder=${2:?--data needs a folder}
    shift 2
fi
[ -x "$florin" ] || fail "$florin is not there: cargo build --release -p florin"
mkdir -p "$folder"
work=$(realpath "$(mktemp -d "$folder/compare.XXXXXX")")
server=
bare=
trap clean_up EXIT

case "${1:-engine}" in
    engine) compare_engine ;;
    rows) compare_rows ;;
    reads) measure_reads ;;
    growth) measure_growth ;;
    http) compare_http ;;
    *) fail "$1 is none of engine, rows, reads, growth, http" ;;
esac
