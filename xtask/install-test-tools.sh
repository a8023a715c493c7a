#!/usr/bin/env bash
# Installs what building and testing need and the machine does not have; does nothing when all is there.
#
# From the distribution: a C compiler and make, the part of Python that makes virtual environments, Java, Maven,
# PostgreSQL, Redis, and programs that read PDF and check XML. Into target/test-tools: schemathesis, which holds the running
# server against its own OpenAPI document, Apache Kafka, veraPDF, which holds PDF files against their standards, and
# versitygw, a server with the interface of S3, which Go builds.
set -euo pipefail
cd "$(dirname "$0")/.."

schemathesis_version=4.32.5
# Also in xtask/kafka-broker.xml and crates/test-servers/src/kafka.rs. 4.3.0 and 4.3.1 drop the markers of a
# transaction for partitions that have no leader at the moment (KAFKA-20734), which tests that kill brokers meet.
kafka_version=4.2.1
# Also in xtask/verapdf.xml.
verapdf_version=1.30.2
# A mail server, and what others wrote for those who receive push messages, webhooks and signed assertions.
message_tools="aiosmtpd==1.4.6 http-ece==1.2.1 cryptography pyjwt==2.10.1 standardwebhooks==1.0.0"
# Also in crates/test-servers/src/s3.rs.
versitygw_version=1.8.0

fail() {
    echo "error: $*, then run the command again" >&2
    exit 1
}

install_packages() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
    fi
    command -v apt-get >/dev/null || fail "install with this system's package manager: $*"
    echo "installing $*"
    "${as_root[@]}" apt-get update -q </dev/null || fail "apt-get update failed: install by hand: $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null ||
        fail "apt-get install failed: install by hand: $*"
}

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v make >/dev/null || missing+=(make)
# Debian ships Python without `ensurepip`.
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3 python3-venv)
command -v java >/dev/null || missing+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
# Its programs are outside of PATH. The service that the package starts is not used.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
# File systems of their own, whose power is cut; and a library that tells a program another time.
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
command -v xfs_io >/dev/null || missing+=(xfsprogs)
compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(libfaketime)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v pdftotext >/dev/null || missing+=(poppler-utils)
command -v xmllint >/dev/null || missing+=(libxml2-utils)
# A font for Japanese, which is not built in.
[ -f /usr/share/fonts/opentype/ipafont-gothic/ipag.ttf ] || missing+=(fonts-ipafont-gothic)
if [ "${#missing[@]}" -gt 0 ]; then
    install_packages "${missing[@]}"
fi

install_schemathesis() {
    local folder=target/test-tools/schemathesis
    local stamp=$folder/installed-$schemathesis_version
    if [ -f "$stamp" ] && "$folder/bin/schemathesis" --version >/dev/null 2>&1; then
        return
    fi
    echo "installing schemathesis $schemathesis_version into $folder"
    rm -rf "$folder"
    mkdir -p "$(dirname "$folder")"
    python3 -m venv "$folder" || fail "python3 could not make a virtual environment: install python3-venv"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input "schemathesis==$schemathesis_version" </dev/null ||
        fail "pip could not install schemathesis $schemathesis_version: check the network"
    touch "$stamp"
}

# The jars that a Maven file names, into a folder.
fetch_jars() {
    mvn -q -B -f "$1" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$2" </dev/null ||
        fail "Maven could not fetch the jars of $1: check the network"
}

# The broker's jars; a formatted data folder, which holds no port and is copied for every broker; and an archive of its
# classes, which makes it start in half the time. The archive fits this path of the jars only, so it is made in place.
install_kafka() {
    local folder=$PWD/target/test-tools/kafka
    local stamp=$folder/installed-$kafka_version
    if [ -f "$stamp" ]; then
        return
    fi
    echo "installing Kafka $kafka_version into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    fetch_jars xtask/kafka-broker.xml "$folder/lib"
    local ports
    ports=$(python3 -c 'import socket as s; a, b = s.socket(), s.socket(); a.bind(("127.0.0.1", 0)); b.bind(("127.0.0.1", 0)); print(a.getsockname()[1], b.getsockname()[1])')
    kafka_properties "$folder/formatted" "${ports% *}" "${ports#* }" >"$folder/install.properties"
    java -cp "$folder/lib/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg \
        -c "$folder/install.properties" >"$folder/install.log" 2>&1 || fail "Kafka could not format, see $folder/install.log"
    cp -r "$folder/formatted" "$folder/started"
    kafka_properties "$folder/started" "${ports% *}" "${ports#* }" >"$folder/install.properties"
    archive_kafka_classes "$folder" "${ports#* }" >>"$folder/install.log" 2>&1 || fail "Kafka could not start, see $folder/install.log"
    rm -rf "$folder/started"
    touch "$stamp"
}

kafka_properties() {
    cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$2
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$3,CONTROLLER://127.0.0.1:$2
log.dirs=$1
PROPERTIES
}

# The archive is written when a broker that was started for it ends in good order.
archive_kafka_classes() {
    java -Xms64m -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ArchiveClassesAtExit="$1/kafka.jsa" \
        -cp "$1/lib/*" kafka.Kafka "$1/install.properties" </dev/null &
    local broker=$! waited=0
    until (: <"/dev/tcp/127.0.0.1/$2") 2>/dev/null; do
        waited=$((waited + 1))
        if [ "$waited" -gt 600 ] || ! kill -0 "$broker" 2>/dev/null; then
            kill -KILL "$broker" 2>/dev/null
            return 1
        fi
        sleep 0.1
    done
    sleep 1
    kill -TERM "$broker"
    wait "$broker" || [ $? -eq 143 ]
}

install_message_tools() {
    local folder=target/test-tools/messages
    local stamp=$folder/installed-3
    if [ -f "$stamp" ] && "$folder/bin/python3" -c 'import aiosmtpd, http_ece, jwt, standardwebhooks' >/dev/null 2>&1; then
        return
    fi
    echo "installing $message_tools into $folder"
    rm -rf "$folder"
    python3 -m venv "$folder" || fail "python3 could not make a virtual environment: install python3-venv"
    # shellcheck disable=SC2086
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input $message_tools </dev/null ||
        fail "pip could not install $message_tools: check the network"
    touch "$stamp"
}

# The libraries, with the interpreter that runs the test's own script on them.
install_verapdf() {
    local folder=$PWD/target/test-tools/verapdf
    local stamp=$folder/installed-$verapdf_version
    if [ -f "$stamp" ]; then
        return
    fi
    echo "installing veraPDF $verapdf_version into $folder"
    rm -rf "$folder"
    fetch_jars xtask/verapdf.xml "$folder/lib"
    touch "$stamp"
}

# Built apart from Go's own folder, whose modules are not needed afterwards.
install_versitygw() {
    local folder=$PWD/target/test-tools/versitygw
    local stamp=$folder/installed-$versitygw_version
    if [ -f "$stamp" ]; then
        return
    fi
    command -v go >/dev/null || fail "install Go 1.25 or newer (https://go.dev/dl), which builds versitygw"
    echo "building versitygw $versitygw_version into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    GOBIN=$folder GOPATH=$folder/build GOFLAGS=-modcacherw \
        go install "github.com/versity/versitygw/cmd/versitygw@v$versitygw_version" </dev/null ||
        fail "Go could not build versitygw $versitygw_version: check the network"
    rm -rf "$folder/build"
    touch "$stamp"
}

install_schemathesis
install_kafka
install_verapdf
install_versitygw
install_message_tools
