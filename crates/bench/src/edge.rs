//! Perigee's edge by itself, in front of servers that are none of Perigee's.

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::Process;

/// A server that the edge forwards to, at the edge's own port. It gets the client's bytes and nothing before them.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What it is called in the configuration: small letters, digits and hyphens.
    pub name: String,
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
    /// Whether endpoints see the client's own address (loopback clients only).
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

    fn main(&self) -> String {
        let Self { addresses: [first, second], port, admin, flows, preserve_clients, .. } = self;
        // An endpoint is a load balancer whose node nobody runs. Its health is never known, so that everything fails
        // open to it, and with this `client_ip` it gets a plain connection.
        let mut text = format!(
            "client_ip = \"bind\"\npop = \"ICN\"\n[admin]\nlisten = \"{admin}\"\n[limits]\nedge_flows = {flows}\n\
             [accelerators.bench]\naddresses = [\"{first}\", \"{second}\"]\n[[accelerators.bench.listeners]]\n\
             protocol = \"TCP\"\nport_ranges = [{{ from_port = {port}, to_port = {port} }}]\n"
        );
        for Group { region, dial, endpoints } in &self.groups {
            let _ = writeln!(
                text,
                "[[accelerators.bench.listeners.endpoint_groups]]\nregion = \"{region}\"\n\
                 traffic_dial_percentage = {dial}\nendpoints = ["
            );
            for Endpoint { name, weight, .. } in endpoints {
                let _ = writeln!(
                    text,
                    "    {{ endpoint_id = \"{name}\", weight = {weight}, client_ip_preservation_enabled = \
                     {preserve_clients} }},"
                );
            }
            text += "]\n";
        }
        text
    }

    fn region(&self, Group { region, endpoints, .. }: &Group) -> String {
        let mut text = format!("[[zones]]\nname = \"{region}a\"\n");
        for Endpoint { name, address, .. } in endpoints {
            let _ = writeln!(
                text,
                "[load_balancers.{name}]\nnodes = [{{ zone = \"{region}a\", address = \"{address}\" }}]\n\
                 [[load_balancers.{name}.listeners]]\nprotocol = \"HTTP\"\nport = {}\n\
                 default_actions = [{{ type = \"forward\", target_group = \"{name}\" }}]\n[target_groups.{name}]\n\
                 protocol = \"HTTP\"\ntarget_type = \"ip\"\ntargets = []",
                self.port
            );
        }
        text
    }
}
