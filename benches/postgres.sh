#!/usr/bin/env bash
# Measures Florin over PostgreSQL, beside pgbench and pgledger where there is something to compare, and prints medians.
#
#   benches/postgres.sh [--data FOLDER] ROW...
#
# engine:      `florin bench engine`, one shard, against `pgbench` (TPC-B, -s 50 -c 16) and, with PGLEDGER, pgledger with as
#              many accounts and clients, on the same server.
# hot:         one account in every transfer, against transfers between any two accounts.
# single:      one transfer at a time between 1,000 accounts, against single-row commits of pgbench with one client.
# http:        one transfer a request, 64 clients of wrk, `florin serve` over one shard.
# single-http: the same with one client.
# connections: 1,000 connections of wrk, reads and writes mixed.
# between:     transfers between two shards with Kafka, until they have succeeded: as many as go, then at RATE a second.
# embedded:    transfers between 4 shards in files, in one process.
# storage:     bytes of each table and index for a transfer.
# scaling:     1, 2 and 4 shards: transfers within shards, and between them without Kafka, on one server.
#
# The server is started for the run, in FOLDER, with the settings below and everything else as PostgreSQL comes: fsync,
# synchronous_commit and full_page_writes are on. All sides use this one server in turn, with a checkpoint before each.
# Kafka is one broker that syncs each record, from target/test-tools (xtask/install-test-tools.sh).
#
# Environment: ROUNDS (3, after one that is not counted), ACCOUNTS (100000), TRANSFERS (500000; storage 1000000; embedded
# 2000000), BATCH (8192; between 1024), IN_FLIGHT (24576), SECONDS_EACH (10), RATE (between: half of the rate found),
# FLORIN (target/release/florin, built with --features kafka), PGLEDGER (a folder with the sources of pgledger), PGBIN.
set -euo pipefail
cd "$(dirname "$0")/.."

florin=${FLORIN:-target/release/florin}
folder=${FOLDER:-target}
rounds=${ROUNDS:-3}
accounts=${ACCOUNTS:-100000}
seconds=${SECONDS_EACH:-10}
in_flight=${IN_FLIGHT:-24576}
tools=target/test-tools/kafka

fail() {
    echo "error: $*" >&2
    exit 2
}

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }
ratio() { awk -v ours="$1" -v theirs="$2" 'BEGIN { printf "%.2f", ours / theirs }'; }
field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p"; }
say() { printf '%-44s %12s %s\n' "$@"; }
middle() { median <"$work/$1"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# ---- Servers ----

start_postgres() {
    local bin
    bin=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)}
    [ -x "${bin:-}/initdb" ] || fail "PostgreSQL is not installed: apt-get install postgresql, or set PGBIN"
    PATH=$bin:$PATH
    as=()
    if [ "$(id -u)" = 0 ]; then
        as=(setpriv --reuid=postgres --regid=postgres --init-groups --)
        mkdir "$work/server"
        chown postgres "$work/server"
        chmod a+x "$work"
    fi
    port=$(free_port)
    "${as[@]}" initdb -D "$work/server/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --data-checksums >/dev/null
    cat >>"$work/server/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 200
shared_buffers = '2GB'
max_wal_size = '8GB'
checkpoint_timeout = '15min'
END
    "${as[@]}" postgres -D "$work/server/data" >"$work/postgres.log" 2>&1 &
    postgres=$!
    until pg_isready -q -h 127.0.0.1 -p "$port"; do
        kill -0 "$postgres" 2>/dev/null || fail "PostgreSQL ended: $(tail -n 3 "$work/postgres.log")"
        sleep 0.05
    done
    export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres
}

sql() { PGOPTIONS=--client-min-messages=warning psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }

# One broker with every record synced, from a formatted folder.
start_kafka() {
    [ -d "$tools/lib" ] || fail "Kafka is not installed: run xtask/install-test-tools.sh"
    local controller archive
    brokers=127.0.0.1:$(free_port)
    controller=127.0.0.1:$(free_port)
    mkdir -p "$work/kafka/data"
    cat >"$work/kafka/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://$brokers,CONTROLLER://$controller
advertised.listeners=PLAINTEXT://$brokers
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$work/kafka/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
log.flush.interval.messages=1
END
    local java=(java -Xms64m -Xmx512m -cp "$tools/lib/*")
    "${java[@]}" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$work/kafka/server.properties" >/dev/null 2>&1
    "${java[@]}" kafka.Kafka "$work/kafka/server.properties" >"$work/kafka.log" 2>&1 &
    kafka=$!
    until (exec 3<>"/dev/tcp/${brokers%:*}/${brokers#*:}") 2>/dev/null; do
        kill -0 "$kafka" 2>/dev/null || fail "Kafka ended: $(tail -n 3 "$work/kafka.log")"
        sleep 0.1
    done
}

# So many new databases for Florin's shards, and the settings that name them.
new_shards() {
    local shard urls=()
    rm -rf "$work/florin"
    for shard in $(seq 0 $(($1 - 1))); do
        sql postgres "drop database if exists shard$shard with (force)"
        sql postgres "create database shard$shard"
        urls+=("postgres://postgres@127.0.0.1:$port/shard$shard")
    done
    export FLORIN_STORAGE__ENGINE=postgres FLORIN_STORAGE__SHARDS="${urls[*]}"
    export FLORIN_STORAGE__OWNERS="${urls[*]}"
    sql postgres checkpoint
}

# `florin serve` over one new shard; when it returns, $server is its process and $url says where it listens.
start_florin() {
    new_shards 1
    : >"$work/listening"
    "$florin" serve --data "$work/florin" --listen 127.0.0.1:0 --no-auth --quiet >"$work/listening" &
    server=$!
    until url=$(sed -n 's/^florin is listening on //p' "$work/listening") && [ -n "$url" ]; do
        kill -0 "$server" 2>/dev/null || fail "florin serve ended"
        sleep 0.02
    done
    print_accounts | curl --silent --fail --output /dev/null -H 'Content-Type: application/x-ndjson' --data-binary @- "$url/api/v1/events"
}

stop_florin() {
    kill "$server"
    wait "$server" || true
    server=
}

# Accounts 1 to $accounts of one user, as events.
print_accounts() {
    echo '{"specversion":"1.0","id":"user","source":"bench","type":"florin.user.registered","data":{"user_id":"1","name":"Bench"}}'
    seq "$accounts" | sed 's|.*|{"specversion":"1.0","id":"account-&","source":"bench","type":"florin.account.opened","data":{"account_id":"&","user_id":"1","currency":"EUR","type":"checking","overdraft_limit":"1000000000.00"}}|'
}

# ---- Runs; each appends what it measured to files of $work ----

# name, shards, then options of `florin bench engine`. Takes the last line of its JSON apart.
run_bench() {
    local name=$1 shards=$2 result key
    shift 2
    rm -rf "$work/florin"
    [ "$shards" = files ] || new_shards "$shards"
    result=$("$florin" bench engine --data "$work/florin" --accounts "$accounts" --json --quiet "$@" | tail -n 1)
    rm -rf "$work/florin"
    [ -n "$result" ] || fail "florin bench engine printed nothing"
    for key in transfers_per_s_durable p50_ms p99_ms succeeded_p50_ms succeeded_p99_ms bytes_per_transfer rss_mb; do
        field "$key" <<<"$result" >>"$work/$name-$key"
    done
}

# name, database, clients, then options of pgbench. Notes transactions a second.
run_pgbench() {
    local name=$1 database=$2 clients=$3 result
    shift 3
    sql postgres checkpoint
    result=$(pgbench -n -c "$clients" -j 2 -T "$seconds" "$@" "$database" 2>&1) || fail "pgbench failed: $result"
    sed -n 's/^tps = \([0-9.]*\).*/\1/p' <<<"$result" >>"$work/$name"
}

# name, script, threads, connections. Notes requests a second, the average and the 99th percentile in milliseconds.
run_wrk() {
    local name=$1 script=$2 threads=$3 connections=$4 result
    result=$(RUN=$RANDOM-$RANDOM ACCOUNTS=$accounts wrk -t "$threads" -c "$connections" -d "${seconds}s" --timeout 10s \
        --latency -s "benches/$script.lua" "$url" 2>&1)
    ! grep -Eq 'Non-2xx|Socket errors' <<<"$result" || fail "$name met errors: $result"
    awk '/Requests\/sec/ { print $2 }' <<<"$result" >>"$work/$name-rate"
    awk '$1 == "Latency" && NF == 5 { print $2 }' <<<"$result" | milliseconds >>"$work/$name-average"
    awk '$1 == "50%" { print $2 }' <<<"$result" | milliseconds >>"$work/$name-p50"
    awk '$1 == "99%" { print $2 }' <<<"$result" | milliseconds >>"$work/$name-p99"
}

# wrk writes 812.00us, 4.80ms or 1.20s.
milliseconds() { sed -E 's/([0-9.]+)us/\1 0.001/; s/([0-9.]+)ms/\1 1/; s/([0-9.]+)s/\1 1000/' | awk '{ printf "%.3f\n", $1 * $2 }'; }

# A round that is not counted, then those that are.
rounds_of() {
    local round
    for round in $(seq 0 "$rounds"); do
        echo "round $round of $rounds" >&2
        "$1"
        [ "$round" != 0 ] || rm -f "$work"/*-*
    done
}

# ---- Rows ----

engine_round() {
    run_bench ours 1 --transfers "${TRANSFERS:-500000}" --batch "${BATCH:-8192}" --in-flight "$in_flight"
    run_pgbench "tpc-b" tpcb 16
    [ -z "${PGLEDGER:-}" ] || run_pgbench "pg-ledger" pgledger 16 -M prepared -f "$work/pgledger.sql"
}

# pgledger with accounts whose ids are as long as its own.
make_pgledger() {
    local file
    sql postgres "create database pgledger"
    for file in "$PGLEDGER"/vendor/scoville-pgsql-ulid/*.sql "$PGLEDGER/pgledger.sql"; do
        psql -X -q -v ON_ERROR_STOP=1 -d pgledger -f "$file" >/dev/null
    done
    sql pgledger "insert into pgledger_accounts (id, name, currency, allow_negative_balance, allow_positive_balance, created_at, updated_at)
        select 'pgla_' || lpad(n::text, 26, '0'), 'bench', 'EUR', true, true, now(), now() from generate_series(1, $accounts) n"
    sql pgledger "vacuum analyze"
    cat >"$work/pgledger.sql" <<END
\set first random(1, $accounts)
\set other random(1, $accounts - 1)
\set second 1 + (:first + :other - 1) % $accounts
\set units random(1, 10000)
select * from pgledger_create_transfer('pgla_' || lpad(:first::text, 26, '0'), 'pgla_' || lpad(:second::text, 26, '0'), :units);
END
}

measure_engine() {
    local ours
    sql postgres "create database tpcb"
    pgbench -q -i -s 50 tpcb 2>/dev/null
    [ -z "${PGLEDGER:-}" ] || make_pgledger
    rounds_of engine_round
    ours=$(middle ours-transfers_per_s_durable)
    echo "engine: $accounts accounts, batches of ${BATCH:-8192}, $in_flight transfers in flight, medians of $rounds rounds in turn"
    say "florin, one shard" "$ours" "transfers/s"
    say "pgbench TPC-B -s 50 -c 16" "$(middle tpc-b)" "transactions/s, ratio $(ratio "$ours" "$(middle tpc-b)")"
    [ -z "${PGLEDGER:-}" ] ||
        say "pgledger, 16 clients" "$(middle pg-ledger)" "transfers/s, ratio $(ratio "$ours" "$(middle pg-ledger)")"
}

hot_round() {
    run_bench spread-out 1 --transfers "${TRANSFERS:-500000}" --in-flight "$in_flight"
    run_bench hot-account 1 --transfers "${TRANSFERS:-500000}" --in-flight "$in_flight" --shape hot
}

measure_hot() {
    local hot spread
    rounds_of hot_round
    hot=$(middle hot-account-transfers_per_s_durable) spread=$(middle spread-out-transfers_per_s_durable)
    echo "hot: medians of $rounds rounds in turn"
    say "one account in every transfer" "$hot" "transfers/s, ratio $(ratio "$hot" "$spread")"
    say "any two of $accounts accounts" "$spread" "transfers/s"
}

single_round() {
    accounts=1000 run_bench one-by-one 1 --transfers "${TRANSFERS:-5000}" --batch 1 --in-flight 1
    sql postgres "drop table if exists bare; create table bare (id bigint primary key generated always as identity, amount bigint not null)" 2>/dev/null
    sql postgres checkpoint
    (cd "$work" && pgbench -n -M prepared -c 1 -T "$seconds" -f bare.sql -l --log-prefix=bare postgres >/dev/null 2>&1)
    # The third column is the time of a transaction in microseconds.
    awk '{ print $3 / 1000 }' "$work"/bare.* | median >>"$work/bare-p50"
    rm -f "$work"/bare.[0-9]*
}

measure_single() {
    local ours bare
    echo "insert into bare (amount) values (1)" >"$work/bare.sql"
    rounds_of single_round
    ours=$(middle one-by-one-p50_ms) bare=$(middle bare-p50)
    echo "single: one client, one transfer at a time, medians of $rounds rounds in turn"
    say "florin, p50" "$ours" "ms, ratio $(ratio "$ours" "$bare"), p99 $(middle one-by-one-p99_ms) ms"
    say "insert of one row, p50" "$bare" "ms"
}

# name, script, threads, connections: one server for all rounds.
measure_wrk() {
    local name=$1 script=$2 threads=$3 connections=$4
    command -v wrk >/dev/null || fail "wrk is not installed: apt-get install wrk"
    start_florin
    wrk_round() { run_wrk "wrk-$name" "$script" "$threads" "$connections"; }
    rounds_of wrk_round
    stop_florin
    echo "$name: $connections connections, $script.lua, $accounts accounts, medians of $rounds rounds"
    say "requests" "$(middle "wrk-$name-rate")" "a second"
    say "time of a request" "$(middle "wrk-$name-average")" "ms on average, p50 $(middle "wrk-$name-p50") ms, p99 $(middle "wrk-$name-p99") ms, no error"
}

use_kafka() {
    local run=$RANDOM$RANDOM
    export FLORIN_KAFKA__BROKERS=$brokers FLORIN_KAFKA__SHARDS=true
    export FLORIN_KAFKA__GROUP=bench-$run FLORIN_KAFKA__SHARDS_TOPIC=bench-$run
}

between_round() {
    use_kafka
    run_bench between-most 2 --shape between --transfers "${TRANSFERS:-200000}" --batch "${BATCH:-1024}" --in-flight "$in_flight"
}

between_at_rate() {
    use_kafka
    run_bench between-rate 2 --shape between --transfers $((rate * seconds)) --batch 64 --in-flight 65536 --rate "$rate"
}

measure_between() {
    start_kafka
    rounds_of between_round
    local most
    most=$(middle between-most-transfers_per_s_durable)
    rate=${RATE:-$((most / 2))}
    rounds_of between_at_rate
    echo "between: two shards, Kafka, $accounts accounts, medians of $rounds rounds"
    say "until they have succeeded" "$most" "transfers/s"
    say "at $rate a second, from 202 to succeeded" "$(middle between-rate-succeeded_p50_ms)" \
        "ms p50, p99 $(middle between-rate-succeeded_p99_ms) ms"
    unset FLORIN_KAFKA__BROKERS FLORIN_KAFKA__SHARDS FLORIN_KAFKA__GROUP FLORIN_KAFKA__SHARDS_TOPIC
}

embedded_round() {
    run_bench files-between files --shards 4 --shape between --transfers "${TRANSFERS:-2000000}" --batch "${BATCH:-8192}" --in-flight 98304
}

measure_embedded() {
    unset FLORIN_STORAGE__ENGINE FLORIN_STORAGE__SHARDS FLORIN_STORAGE__OWNERS
    rounds_of embedded_round
    echo "embedded: 4 shards, all transfers between shards, $accounts accounts, medians of $rounds rounds"
    say "until they have succeeded" "$(middle files-between-transfers_per_s_durable)" "transfers/s"
    say "bytes a transfer on disk" "$(middle files-between-bytes_per_transfer)" ""
}

measure_storage() {
    local transfers=${TRANSFERS:-1000000}
    new_shards 1
    "$florin" bench engine --data "$work/florin" --accounts "$accounts" --transfers "$transfers" --json --quiet >/dev/null
    echo "storage: $transfers transfers between $accounts accounts; bytes a transfer of what grows with transfers"
    psql -X -q -d shard0 -c "vacuum analyze" -c "
        select c.relname as relation, case c.relkind when 'i' then 'index' else 'table' end as kind,
            round(pg_relation_size(c.oid)::numeric / $transfers, 1) as bytes_a_transfer
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where (n.nspname = 'florin' or c.relname in (select t.relname from pg_class f join pg_namespace m on m.oid = f.relnamespace
                join pg_class t on t.oid = f.reltoastrelid where m.nspname = 'florin' and f.relname = 'chunks'))
            and c.relkind in ('r', 'i', 't') and pg_relation_size(c.oid) > $transfers
        order by pg_relation_size(c.oid) desc" -c "
        select round(pg_database_size('shard0')::numeric / $transfers, 1) as all_bytes_a_transfer"
}

scaling_round() {
    local shards
    for shards in 1 2 4; do
        run_bench "spread-$shards" "$shards" --transfers "${TRANSFERS:-300000}" --in-flight $((in_flight * shards))
        [ "$shards" = 1 ] ||
            run_bench "between-$shards" "$shards" --shape between --transfers "${TRANSFERS:-200000}" --batch 1024 --in-flight "$in_flight"
    done
}

measure_scaling() {
    rounds_of scaling_round
    echo "scaling: shards on one server, $accounts accounts, medians of $rounds rounds in turn"
    for shards in 1 2 4; do
        say "$shards shards, transfers within them" "$(middle "spread-$shards-transfers_per_s_durable")" "transfers/s"
        [ "$shards" = 1 ] || say "$shards shards, transfers between them" "$(middle "between-$shards-transfers_per_s_durable")" "transfers/s"
    done
}

clean_up() {
    for process in "$server" "$kafka"; do
        [ -z "$process" ] || kill -KILL "$process" 2>/dev/null || true
    done
    # At once, and with all its processes.
    [ -z "$postgres" ] || kill -QUIT "$postgres" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}

if [ "${1:-}" = --data ]; then
    folder=${2:?--data needs a folder}
    shift 2
fi
[ -x "$florin" ] || fail "$florin is not there: cargo build --release -p florin --features kafka"
[ "$#" -gt 0 ] || fail "name what to measure: engine, hot, single, http, single-http, connections, between, embedded, storage, scaling"
mkdir -p "$folder"
work=$(realpath "$(mktemp -d "$folder/postgres.XXXXXX")")
server= kafka= postgres=
trap clean_up EXIT
[ "$*" = embedded ] || start_postgres

for row in "$@"; do
    case "$row" in
        engine) measure_engine ;;
        hot) measure_hot ;;
        single) measure_single ;;
        http) measure_wrk http transfer 2 64 ;;
        single-http) measure_wrk single-http transfer 1 1 ;;
        connections) measure_wrk connections mixed 2 1000 ;;
        between) measure_between ;;
        embedded) measure_embedded ;;
        storage) measure_storage ;;
        scaling) measure_scaling ;;
        *) fail "$row is none of engine, hot, single, http, single-http, connections, between, embedded, storage, scaling" ;;
    esac
done
