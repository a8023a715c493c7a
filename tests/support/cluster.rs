//! Several nodes over several PostgreSQL shards. Each node has a way of its own to each database, so that any of them can
//! be broken; nodes are killed and started again in their places.

use super::bank::{Bank, Server, serve};
use super::http::{Connection, Request, Response};
use super::program::{finish, florin};
use super::wait::{now, wait_for, wait_until};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::Duration;
use tempfile::TempDir;
use test_servers::{Postgres, Proxy};

/// How long a relay keeps its lease without renewing it.
const LEASE: Duration = Duration::from_millis(1000);
/// Between two tries of a request that may be tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest that a client insists.
const INSISTENCE: Duration = Duration::from_secs(180);

type Configure = Box<dyn Fn(usize, &mut Command) + Send + Sync>;

/// See the module.
pub(crate) struct Cluster {
    /// They end before what they use.
    nodes: Vec<RwLock<Option<Server>>>,
    shards: Vec<Shard>,
    /// By node, shard and host: where each node finds each database.
    ways: Vec<Vec<Vec<Proxy>>>,
    configure: Configure,
    folder: TempDir,
}

/// A database, and the server that has it now.
struct Shard {
    server: RwLock<Arc<Postgres>>,
    database: String,
}

impl Cluster {
    /// So many shards, each on a server of its own, and so many nodes.
    pub(crate) fn start(shards: usize, nodes: usize) -> Cluster {
        let servers = (0..shards).map(|_| Postgres::start("")).collect();
        Cluster::over(servers, nodes, 1, |_, _| {})
    }

    /// A shard on each of these servers, for which nodes know so many hosts each. Each node is configured besides.
    pub(crate) fn over(
        servers: Vec<Postgres>,
        nodes: usize,
        hosts: usize,
        configure: impl Fn(usize, &mut Command) + Send + Sync + 'static,
    ) -> Cluster {
        let way = |server: &Postgres| (0..hosts).map(|_| Proxy::start(address(server))).collect();
        let ways = (0..nodes).map(|_| servers.iter().map(way).collect()).collect();
        let shard = |server: Postgres| {
            let url = server.create_database();
            let database = url.rsplit('/').next().expect("a name").to_owned();
            Shard { server: RwLock::new(Arc::new(server)), database }
        };
        let shards = servers.into_iter().map(shard).collect();
        let folder = TempDir::new().expect("a temporary folder");
        let nodes = (0..nodes).map(|_| RwLock::new(None)).collect();
        let cluster = Cluster { nodes, shards, ways, configure: Box::new(configure), folder };
        (0..cluster.nodes.len()).for_each(|place| cluster.start_node(place));
        cluster
    }

    /// How many nodes it has, running or not.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// How many shards it has.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The server of a shard.
    pub(crate) fn postgres(&self, shard: usize) -> Arc<Postgres> {
        Arc::clone(&self.shards[shard].server.read().expect("nobody panics"))
    }

    /// Puts another server in the place of a shard's; nodes find it as this host.
    pub(crate) fn replace(&self, shard: usize, server: Arc<Postgres>, host: usize) {
        self.lead(shard, host, &server);
        *self.shards[shard].server.write().expect("nobody panics") = server;
    }

    /// Has all nodes find this server as a host of a shard.
    pub(crate) fn lead(&self, shard: usize, host: usize, server: &Postgres) {
        self.ways.iter().for_each(|ways| ways[shard][host].lead_to(address(server)));
    }

    /// A node's way to the first host of a shard.
    pub(crate) fn way(&self, node: usize, shard: usize) -> &Proxy {
        &self.ways[node][shard][0]
    }

    /// Asks a shard's database; columns are separated by `|`.
    pub(crate) fn psql(&self, shard: usize, text: &str) -> String {
        self.postgres(shard).psql(&self.shards[shard].database, text)
    }

    fn urls(&self, place: usize) -> String {
        let url = |(shard, hosts): (&Shard, &Vec<Proxy>)| {
            let hosts: Vec<String> = hosts.iter().map(|proxy| proxy.address().to_string()).collect();
            format!("postgres://postgres@{}/{}", hosts.join(","), shard.database)
        };
        self.shards.iter().zip(&self.ways[place]).map(url).collect::<Vec<_>>().join(" ")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn prepare(&self, place: usize, command: &mut Command) {
        let urls = self.urls(place);
        command.env("FLORIN_STORAGE__ENGINE", "postgres").env("FLORIN_STORAGE__READ_CONNECTIONS", "4");
        command.env("FLORIN_STORAGE__SHARDS", &urls).env("FLORIN_STORAGE__OWNERS", &urls);
        command.env("FLORIN_SAGAS__LEASE_MS", LEASE.as_millis().to_string());
        command.env("FLORIN_SAGAS__RETRY_MOST_MS", "200");
    }

    /// Starts the node of this place.
    pub(crate) fn start_node(&self, place: usize) {
        let mut command = serve(&self.data());
        command.arg("--no-auth");
        self.prepare(place, &mut command);
        (self.configure)(place, &mut command);
        *self.nodes[place].write().expect("nobody panics") = Some(Server::start(&mut command));
    }

    /// Takes a node out of its place, so that clients no longer find it.
    pub(crate) fn take_out(&self, place: usize) -> Server {
        self.nodes[place].write().expect("nobody panics").take().expect("a running node")
    }

    /// Sends a signal to a node that stays where it is.
    pub(crate) fn signal(&self, place: usize, name: &str) {
        self.node(place).as_ref().expect("a running node").signal(name);
    }

    /// Kills a node as a crash does; clients still try to reach it.
    pub(crate) fn kill_node(&self, place: usize) {
        self.signal(place, "KILL");
    }

    /// Waits until the node of this place has ended by itself, well.
    pub(crate) fn await_end(&self, place: usize) {
        assert_eq!(self.take_out(place).wait(), Some(0));
    }

    /// The only node that runs is this one; it relays for all shards then.
    fn leave_only(&self, place: usize) {
        for other in (0..self.nodes()).filter(|other| *other != place) {
            assert_eq!(self.take_out(other).terminate(), Some(0));
        }
        for shard in 0..self.shards() {
            let held = || self.psql(shard, "select holder, until from florin.leases where until > now()");
            wait_until("the only node has the lease, and renews it", || {
                let before = held();
                !before.is_empty() && {
                    wait_for(LEASE);
                    let after = held();
                    before != after && before.split('|').next() == after.split('|').next()
                }
            });
        }
    }

    /// Has the node of this place relay for all shards, kills it, and waits until others do; how long that took.
    pub(crate) fn kill_relay(&self, place: usize) -> Duration {
        self.leave_only(place);
        (0..self.nodes()).filter(|other| *other != place).for_each(|other| self.start_node(other));
        let before: Vec<String> = (0..self.shards()).map(|shard| self.relay_of(shard)).collect();
        self.kill_node(place);
        let killed = now();
        wait_until("others relay for all shards", || {
            let relays = (0..self.shards()).map(|shard| self.relay_of(shard));
            relays.zip(&before).all(|(relay, before)| !relay.is_empty() && relay != *before)
        });
        let taken_over = killed.elapsed();
        self.start_node(place);
        taken_over
    }

    /// Who has the lease of a shard's relay, as the database says; empty when it is over.
    fn relay_of(&self, shard: usize) -> String {
        self.psql(shard, "select holder from florin.leases where until > clock_timestamp()")
    }

    fn node(&self, place: usize) -> RwLockReadGuard<'_, Option<Server>> {
        self.nodes[place].read().expect("nobody panics")
    }

    /// Where the node of this place listens, when there is one.
    pub(crate) fn address(&self, place: usize) -> Option<SocketAddr> {
        self.node(place).as_ref().map(|server| server.address)
    }

    /// A client that begins at this node.
    pub(crate) fn client(&self, place: usize) -> Client<'_> {
        Client { cluster: self, place, connections: HashMap::new(), failures: 0 }
    }

    /// Runs `florin` beside the nodes, with a way of its own to the databases.
    pub(crate) fn run(&self, arguments: &[&str]) -> super::program::Run {
        let mut command = florin();
        command.args(arguments).arg("--data").arg(self.data());
        self.prepare(0, &mut command);
        finish(&mut command)
    }

    /// Looks at a node as tests of a single bank do, for as long as that node is not replaced.
    pub(crate) fn look<T>(&self, place: usize, look: impl FnOnce(&Bank) -> T) -> T {
        let bank = Bank::attach(self.take_out(place), &self.data());
        let seen = look(&bank);
        *self.nodes[place].write().expect("nobody panics") = Some(bank.detach());
        seen
    }
}

fn address(server: &Postgres) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port()))
}

/// A client of all nodes: it goes from one to the next when one does not answer, and asks again only where nobody
/// answered or the answer says that the same request may be sent again.
pub(crate) struct Client<'a> {
    cluster: &'a Cluster,
    place: usize,
    connections: HashMap<SocketAddr, Connection>,
    /// How often a node that it asked gave no answer, or none that was final.
    pub(crate) failures: usize,
}

impl Client<'_> {
    /// The answer that is final.
    #[track_caller]
    pub(crate) fn insist(&mut self, request: &Request) -> Response {
        let waited = now();
        let mut last = None;
        while waited.elapsed() < INSISTENCE {
            if let Some(address) = self.cluster.address(self.place % self.cluster.nodes()) {
                match self.ask(address, request) {
                    Some(answer) if !is_retryable(&answer) => return answer,
                    answer => last = answer.or(last),
                }
                self.failures += 1;
            }
            self.place += 1;
            wait_for(PAUSE);
        }
        panic!("no node answers {request:?}, at last {:?}", last.map(|answer| answer.text()));
    }

    /// What the node there answers; nothing where it cannot be reached or does not answer.
    fn ask(&mut self, address: SocketAddr, request: &Request) -> Option<Response> {
        let mut connection = match self.connections.remove(&address) {
            Some(connection) => connection,
            None => Connection::open(address).ok()?,
        };
        let answer = connection.send(request).ok()?;
        if answer.header("connection") != Some("close") {
            self.connections.insert(address, connection);
        }
        Some(answer)
    }

    /// Begins at this node from now on.
    pub(crate) fn stay_at(&mut self, place: usize) {
        self.place = place;
    }

    /// Begins at the next node from now on.
    pub(crate) fn go_on(&mut self) {
        self.place += 1;
    }
}

fn is_retryable(answer: &Response) -> bool {
    400 <= answer.status && answer.json()["retryable"] == true
}
