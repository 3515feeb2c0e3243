use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use perigee_model::PopCode;

use crate::config::Origin;
use crate::names::check_place;
use crate::reader::{Node, Table};
use crate::sockets::{Sockets, Transport};

mod dns;

pub use dns::{DnsCertificate, DnsRuntime, QueryLog};

const EDGE_LOCATIONS: &str = include_str!("../../../../geo/edge-locations.csv");

/// What the process itself needs and the data plane does not: where to listen and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// The DNS server's sockets, threads and log.
    pub dns: DnsRuntime,
    /// Console, admin API, metrics. Default 127.0.0.1:7070; port 0 takes any free one.
    pub admin_listen: SocketAddr,
    /// The operator's own place, by name. Default Seoul.
    pub here: String,
    /// Simulated places by prefix, in prefix order, each prefix once, no host bits set. Holds 127.0.0.0/16 at `here`
    /// unless the configuration places that prefix itself. The names are not looked up here.
    pub overlay: Vec<(IpNet, String)>,
    /// The user's own geographic database; none means the one in the binary. A regular file when it was looked at.
    pub geo_file: Option<PathBuf>,
    /// The edge that `run edge` plays, one of the shipped ones.
    pub pop: Option<PopCode>,
}

/// The prefix of clients that are at the operator's own place (the table of simulated places).
const HERE: &str = "127.0.0.0/16";

pub(crate) fn read(root: &Table<'_>, dns: &Table<'_>, base: Option<&Path>, sockets: &mut Sockets) -> Runtime {
    let dns = dns::read(dns, base, sockets);
    let admin = root.table("admin");
    let default = SocketAddr::from(([127, 0, 0, 1], 7070));
    let admin_listen = admin.or("listen", default, default.to_string(), |n| {
        let address = n.parse(socket_address)?;
        sockets.listen(n, &[Transport::Tcp], address, "the admin API");
        Some(address)
    });
    admin.finish();
    let here = root.or("here", "Seoul".to_owned(), "Seoul", |n| n.parse(check_place));
    let overlay = overlay(root, &here);
    let geo = root.table("geo");
    let geo_file = geo.get("file").and_then(|n| file(&n, base));
    geo.finish();
    let pop = root.get("pop").and_then(|n| n.parse(pop));
    Runtime { dns, admin_listen, here, overlay, geo_file, pop }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be ADDRESS:PORT, such as \"127.0.0.1:5300\"".to_owned())
}

fn overlay(root: &Table<'_>, here: &str) -> Vec<(IpNet, String)> {
    let mut places: BTreeMap<IpNet, String> = BTreeMap::new();
    for (key, node) in root.entries("overlay") {
        let place = node.parse(check_place);
        match parse_network(key) {
            Ok(prefix) => {
                if places.insert(prefix, place.unwrap_or_default()).is_some() {
                    node.problem(format!("duplicate: {prefix} has a place already"));
                }
            }
            Err(message) => node.problem(message),
        }
    }
    if let Ok(prefix) = HERE.parse() {
        places.entry(prefix).or_insert_with(|| {
            root.cx.record(&root.path.key("overlay").key(HERE), here.into(), Origin::Default);
            here.to_owned()
        });
    }
    places.into_iter().collect()
}

/// A network without host bits.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, String> {
    let network: IpNet = text.parse().map_err(|_| "must be a network, such as \"10.0.0.0/8\"".to_owned())?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!("{network} has host bits set; the network is {}", network.trunc()))
    }
}

/// A path in a file is relative to the configuration directory, one in a variable or flag to the working directory.
pub(crate) fn path(node: &Node<'_>, base: Option<&Path>) -> Option<PathBuf> {
    let text = node.str()?;
    if text.is_empty() {
        node.problem("is empty");
        return None;
    }
    Some(match (base, node.origin()) {
        (Some(base), Origin::File { .. }) => base.join(text),
        _ => PathBuf::from(text),
    })
}

/// A regular file that is there.
pub(crate) fn file(node: &Node<'_>, base: Option<&Path>) -> Option<PathBuf> {
    let path = path(node, base)?;
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() => return Some(path),
        Ok(_) => node.problem("is not a regular file"),
        Err(error) => node.problem(format!("cannot be read: {error}")),
    }
    None
}

/// A directory that is there; `made_by` says what makes it, given its path.
pub(crate) fn directory(
    node: &Node<'_>,
    base: Option<&Path>,
    made_by: impl FnOnce(&Path) -> String,
) -> Option<PathBuf> {
    let path = path(node, base)?;
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => return Some(path),
        Ok(_) => node.problem("is not a directory"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            node.problem(format!("cannot be read: {error}; {}", made_by(&path)));
        }
        Err(error) => node.problem(format!("cannot be read: {error}")),
    }
    None
}

fn pop(text: &str) -> Result<PopCode, String> {
    let known = EDGE_LOCATIONS.lines().skip(1).filter_map(|line| line.split(',').next()).any(|code| code == text);
    if known {
        Ok(PopCode::new(text))
    } else {
        Err("is not the IATA code of one of the edges, such as \"ICN\"".to_owned())
    }
}
