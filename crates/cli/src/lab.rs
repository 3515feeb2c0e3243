//! `perigee lab`: gives a container of the compose stack the addresses and routes of its part, then becomes the
//! command that follows.
//!
//! Images built `FROM scratch` hold no `ip`, so the binary speaks rtnetlink itself. Needs `NET_ADMIN`, changes
//! nothing but the network namespace it runs in, and is meant for lab containers: nothing else calls it.

use std::convert::Infallible;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use rtnetlink::packet_route::route::{RouteProtocol, RouteScope};
use rtnetlink::{Handle, RouteMessageBuilder};
use tokio::signal::unix::{SignalKind, signal};

/// The loopback interface is the first of every network namespace (Linux, `LOOPBACK_IFINDEX`).
const LOOPBACK_INDEX: u32 = 1;

/// Default routes deleted at most: one per attached network, and a container of the lab has three.
const DEFAULT_ROUTES_MAX: usize = 16;

/// Linux's "operation not permitted": the capability is missing.
const EPERM: i32 = 1;

/// Linux's "no such process", which rtnetlink answers when no route matches a deletion (`rtnetlink(7)`).
const ESRCH: i32 = 3;

/// The arguments of `perigee lab`.
///
/// Example: `perigee lab --address 198.51.100.1/32 -- run edge --pop ICN`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Lab {
    /// Address to put on the loopback interface; repeatable
    #[arg(long = "address", value_name = "ADDRESS/LENGTH")]
    addresses: Vec<IpNet>,
    /// IPv4 route to add; repeatable
    #[arg(long = "route", value_name = "NETWORK/LENGTH=GATEWAY")]
    routes: Vec<Route>,
    /// Delete the default route, so that nothing sent to a simulated address can leave the machine
    #[arg(long)]
    no_default_route: bool,
    /// Arguments of the `perigee` to become; without any, wait for SIGTERM or SIGINT
    #[arg(last = true, value_name = "ARGS")]
    command: Vec<OsString>,
}

/// A route: traffic to `network` goes by `gateway`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    network: Ipv4Net,
    gateway: Ipv4Addr,
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (network, gateway) = text.split_once('=').ok_or("expected NETWORK/LENGTH=GATEWAY")?;
        let network: Ipv4Net = network.parse().map_err(|_| format!("{network} is not an IPv4 network"))?;
        if network.trunc() != network {
            return Err(format!("{network} has bits below its length; did you mean {}?", network.trunc()));
        }
        let gateway = gateway.parse().map_err(|_| format!("{gateway} is not an IPv4 address"))?;
        Ok(Self { network, gateway })
    }
}

/// Why a lab container did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabError {
    /// No netlink socket or no signal handler; the kernel's reason follows.
    #[error("cannot set up the lab container: {0}")]
    Io(#[from] std::io::Error),
    /// The kernel refused an address or a route.
    #[error("cannot {what}: {source}{}", hint(source))]
    Netlink {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: Box<rtnetlink::Error>,
    },
    /// The following command could not be started.
    #[error("cannot become `perigee`: {0}")]
    Exec(std::io::Error),
}

impl Lab {
    /// Applies addresses and routes, then becomes the command, or waits to be told to end and ends if there is none.
    ///
    /// Returns only with an error, worded for a person.
    pub(crate) async fn run(self) -> Result<Infallible, String> {
        self.apply().await.map_err(|e| e.to_string())?;
        if self.command.is_empty() {
            wait_for_the_end().await.map_err(|e| LabError::Io(e).to_string())?;
            std::process::exit(0);
        }
        Err(LabError::Exec(self.become_command()).to_string())
    }

    async fn apply(&self) -> Result<(), LabError> {
        if self.addresses.is_empty() && self.routes.is_empty() && !self.no_default_route {
            return Ok(());
        }
        let (connection, netlink, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        for net in &self.addresses {
            let request = netlink.address().add(LOOPBACK_INDEX, net.addr(), net.prefix_len());
            refused(request.execute().await, || format!("add the address {net}"))?;
        }
        if self.no_default_route {
            delete_default_routes(&netlink).await?;
        }
        for Route { network, gateway } in &self.routes {
            let route = RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(network.addr(), network.prefix_len())
                .gateway(*gateway)
                .build();
            let request = netlink.route().add(route).replace();
            refused(request.execute().await, || format!("add the route {network} by {gateway}"))?;
        }
        Ok(())
    }

    /// Replaces this process; gives the error if that fails. Other threads and sockets of this one end with it.
    fn become_command(&self) -> std::io::Error {
        match std::env::current_exe() {
            Ok(program) => Command::new(program).args(&self.command).exec(),
            Err(error) => error,
        }
    }
}

/// Deletes one default route after the other until the kernel finds no more.
async fn delete_default_routes(netlink: &Handle) -> Result<(), LabError> {
    for _ in 0..DEFAULT_ROUTES_MAX {
        // Unspecified protocol and scope match whatever put the route there, as with `ip route del default`.
        let any_default = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(Ipv4Addr::UNSPECIFIED, 0)
            .protocol(RouteProtocol::Unspec)
            .scope(RouteScope::NoWhere)
            .build();
        match netlink.route().del(any_default).execute().await {
            Err(error) if errno(&error) == Some(ESRCH) => return Ok(()),
            result => refused(result, || "delete the default route".into())?,
        }
    }
    Ok(())
}

/// The kernel's error number, if the error is the kernel's.
fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|code| -code.get()),
        _ => None,
    }
}

fn hint(error: &rtnetlink::Error) -> &'static str {
    if errno(error) == Some(EPERM) { "; the container needs cap_add: [NET_ADMIN]" } else { "" }
}

fn refused(result: Result<(), rtnetlink::Error>, what: impl FnOnce() -> String) -> Result<(), LabError> {
    result.map_err(|source| LabError::Netlink { what: what(), source: Box::new(source) })
}

/// As process 1 of a container there are no default signal actions, so SIGTERM must be waited for by hand.
async fn wait_for_the_end() -> Result<(), std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        lab: Lab,
    }

    #[test]
    fn a_route_is_a_network_and_a_gateway() {
        let route: Route = "198.51.100.0/24=10.82.200.2".parse().unwrap();
        assert_eq!(route.network.to_string(), "198.51.100.0/24");
        assert_eq!(route.gateway, Ipv4Addr::new(10, 82, 200, 2));
    }

    #[test]
    fn a_route_with_host_bits_or_without_gateway_is_refused() {
        for bad in ["198.51.100.1/24=10.0.0.1", "198.51.100.0/24", "x=10.0.0.1", "198.51.100.0/24=gateway", "=", ""] {
            assert!(bad.parse::<Route>().is_err(), "{bad:?} was taken for a route");
        }
    }

    #[test]
    fn everything_after_the_dashes_belongs_to_the_command() {
        let line = ["lab", "--address", "198.51.100.1/32", "--", "run", "edge", "--address", "x"];
        let lab = Line::try_parse_from(line).unwrap().lab;
        assert_eq!(lab.addresses.len(), 1);
        assert_eq!(lab.command, ["run", "edge", "--address", "x"]);
    }

    #[test]
    fn a_lab_without_network_changes_asks_the_kernel_for_nothing() {
        let lab = Line::try_parse_from(["lab"]).unwrap().lab;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // No I/O driver in this runtime: a netlink socket would panic.
        runtime.block_on(lab.apply()).unwrap();
    }
}
