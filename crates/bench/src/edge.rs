//! Perigee's edge by itself, in front of servers that are none of Perigee's.

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::Process;

/// A server that the edge forwards to, at the edge's own port, and probes there. It gets the client's bytes and
/// nothing before them.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Ipv4Addr,
    /// 0 to 255.
    pub weight: u8,
}

/// The endpoints of a region.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its code, one of the shipped table.
    pub region: &'static str,
    /// Traffic dial, 0 to 100 percent.
    pub dial: u8,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
}

/// What `perigee run edge --pop ICN` is told.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Where its configuration and its log are put; it has to exist.
    pub folder: PathBuf,
    /// The accelerator's two static addresses.
    pub addresses: [Ipv4Addr; 2],
    /// The port of its listener.
    pub port: u16,
    /// Its admin API.
    pub admin: SocketAddr,
    /// `limits.edge_flows`.
    pub flows: u32,
    /// Whether endpoints see the client's own address (loopback clients only): they are instances then, and elastic
    /// IPs otherwise.
    pub preserve_clients: bool,
    /// Where it forwards to.
    pub groups: Vec<Group>,
}

impl Edge {
    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.addresses[0]), self.port)
    }

    /// Writes the configuration, over one that is there. Errors: the folder cannot be written.
    pub fn write(&self) -> io::Result<()> {
        fs::create_dir_all(self.folder.join("regions"))?;
        for group in &self.groups {
            fs::write(self.folder.join(format!("regions/{}.toml", group.region)), self.region(group))?;
        }
        fs::write(self.folder.join("perigee.toml"), self.main())
    }

    /// Writes the configuration and starts it, on a core or on any; it listens a moment later. Errors: as
    /// [`Edge::write`] and [`Process::start`].
    pub fn start(&self, binary: &str, core: Option<&str>) -> io::Result<Process> {
        self.write()?;
        let folder = self.folder.to_string_lossy();
        Process::start(core, &self.folder.join("edge.log"), &[binary, "run", "edge", "--config", &folder])
    }

    /// What an endpoint is called.
    fn id(&self, endpoint: &Endpoint) -> String {
        let kind = if self.preserve_clients { "i" } else { "eipalloc" };
        format!("{kind}-{:08x}", endpoint.address.to_bits())
    }

    fn main(&self) -> String {
        let Self { addresses: [first, second], port, admin, flows, .. } = self;
        let mut text = format!(
            "pop = \"ICN\"\n[admin]\nlisten = \"{admin}\"\n[limits]\nedge_flows = {flows}\n\
             [accelerators.bench]\naddresses = [\"{first}\", \"{second}\"]\n[[accelerators.bench.listeners]]\n\
             protocol = \"TCP\"\nport_ranges = [{{ from_port = {port}, to_port = {port} }}]\n"
        );
        for Group { region, dial, endpoints } in &self.groups {
            let _ = writeln!(
                text,
                "[[accelerators.bench.listeners.endpoint_groups]]\nregion = \"{region}\"\n\
                 traffic_dial_percentage = {dial}\nhealth_check_interval_seconds = 10\nendpoints = ["
            );
            for endpoint in endpoints {
                let (id, weight) = (self.id(endpoint), endpoint.weight);
                let _ = writeln!(text, "    {{ endpoint_id = \"{id}\", weight = {weight} }},");
            }
            text += "]\n";
        }
        text
    }

    fn region(&self, Group { region, endpoints, .. }: &Group) -> String {
        let mut text = format!("[[zones]]\nname = \"{region}a\"\n");
        let kind = if self.preserve_clients { "instances" } else { "elastic_ips" };
        for endpoint in endpoints {
            let _ = writeln!(text, "[{kind}.{}]\naddress = \"{}\"", self.id(endpoint), endpoint.address);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(folder: &str, preserve_clients: bool) -> Edge {
        let endpoints = |net| [1, 2].map(|host| Endpoint { address: [127, 7, net, host].into(), weight: 128 }).to_vec();
        let folder = std::env::temp_dir().join(format!("perigee-bench-{}-{folder}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Edge {
            folder,
            addresses: [[127, 7, 9, 1].into(), [127, 7, 9, 2].into()],
            port: 18_000,
            admin: ([127, 7, 9, 1], 7_070).into(),
            flows: 1_000,
            preserve_clients,
            groups: vec![
                Group { region: "ap-northeast-2", dial: 100, endpoints: endpoints(82) },
                Group { region: "ap-northeast-1", dial: 0, endpoints: endpoints(81) },
            ],
        }
    }

    #[test]
    fn what_is_written_is_a_configuration() {
        for preserve_clients in [false, true] {
            let edge = edge(&format!("written-{preserve_clients}"), preserve_clients);
            edge.write().unwrap();
            let sources = perigee_config::Sources { dir: Some(edge.folder.clone()), ..Default::default() };
            let config = perigee_config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
            let listener = &config.snapshot.accelerators[0].listeners[0];
            let endpoints = listener.endpoint_groups.iter().flat_map(|group| &group.endpoints);
            let preserved = endpoints.map(|endpoint| endpoint.client_ip_preservation);
            assert_eq!(preserved.collect::<Vec<_>>(), [preserve_clients; 4]);
            let _ = fs::remove_dir_all(&edge.folder);
        }
    }
}
