use std::net::SocketAddrV4;

use perigee_admin::{MappingCursor, Mappings};
use perigee_config::Config;
use perigee_custom_routing::{Destination, Mapping, MappingError};
use perigee_dataplane::EdgeView;
use perigee_model::{CustomRoutingAccelerator, CustomRoutingIndex, Snapshot};
use serde::{Deserialize, Serialize};

use super::Stack;

/// Rows of a page if nothing else is asked for, and at most (Global Accelerator API, `ListCustomRoutingPortMappings`:
/// at most 20,000).
const ROWS: (u32, u32) = (1_000, 20_000);

/// One page of the port mappings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MappingPage {
    /// Whether a running stack's map was read; otherwise it is the one that a start would make.
    pub(crate) live: bool,
    /// By accelerator in name order, then by port.
    pub(crate) mappings: Vec<PortMapping>,
    /// Where the next page begins; none after the last.
    pub(crate) next: Option<MappingCursor>,
}

/// One port of a custom routing accelerator and where it leads (Global Accelerator API, `PortMapping` and
/// `DestinationPortMapping`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PortMapping {
    pub(crate) accelerator: String,
    pub(crate) accelerator_port: u16,
    /// The port on both static addresses.
    pub(crate) accelerator_socket_addresses: [SocketAddrV4; 2],
    pub(crate) endpoint_group_region: String,
    pub(crate) endpoint_id: String,
    pub(crate) destination_socket_address: SocketAddrV4,
    pub(crate) protocols: Vec<String>,
    /// `ALLOW` or `DENY`.
    pub(crate) destination_traffic_state: String,
}

impl Stack {
    /// A page of the map in force.
    ///
    /// Errors: in words; there is no such accelerator, or this process has no front tier.
    pub(crate) fn mappings(&self, request: &Mappings) -> Result<MappingPage, String> {
        let front = self.front.as_ref().ok_or("this process has no front tier; ask an edge or a DNS server")?;
        let view = front.view();
        let maps: Vec<&Mapping> =
            (0..view.snapshot.custom_routing_accelerators.len()).map(|i| view.mapping(CustomRoutingIndex(i))).collect();
        page(true, &view.snapshot, &maps, request)
    }
}

/// A page of the map that a start with this configuration makes.
///
/// Errors: in words; there is no such accelerator.
pub(crate) fn offline_mappings(config: &Config, request: &Mappings) -> Result<MappingPage, String> {
    let snapshot = &config.snapshot;
    // The configuration was accepted, so everything fits.
    let made: Vec<Mapping> = (snapshot.custom_routing_accelerators.iter())
        .map(|accelerator| Mapping::new(snapshot, accelerator).unwrap_or_default())
        .collect();
    page(false, snapshot, &made.iter().collect::<Vec<_>>(), request)
}

/// What forbids that `config` follows the configuration in force, for the sake of what custom routing promises.
pub(super) fn reload_problems(view: &EdgeView, config: &Config) -> Vec<String> {
    let problem = |(index, error): (CustomRoutingIndex, MappingError)| {
        let name = &config.snapshot.custom_routing_accelerator(index).name;
        let listeners = format!("custom_routing_accelerators.{name}.listeners");
        let key = match error {
            MappingError::Shrunk { listener, .. } => format!("{listeners}[{listener}].port_ranges[0].from_port"),
            MappingError::Remapped { at, .. } | MappingError::LimitExceeded { at, .. } => format!(
                "{listeners}[{}].endpoint_groups[{}].endpoints[{}].endpoint_id",
                at.listener, at.group, at.endpoint
            ),
        };
        config.problem(&key, &error.to_string()).to_string()
    };
    view.mapping_problems(&config.snapshot).into_iter().map(problem).collect()
}

fn page(live: bool, snapshot: &Snapshot, maps: &[&Mapping], request: &Mappings) -> Result<MappingPage, String> {
    let accelerators = &snapshot.custom_routing_accelerators;
    if let Some(name) = &request.accelerator
        && !accelerators.iter().any(|a| a.name.as_str() == name)
    {
        let known: Vec<&str> = accelerators.iter().map(|a| a.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("no custom routing accelerator is called {name:?}; there is {known}"));
    }
    let wanted = request.max_results.unwrap_or(ROWS.0).clamp(1, ROWS.1) as usize;
    let mut page = MappingPage { live, mappings: Vec::new(), next: None };
    for (accelerator, mapping) in accelerators.iter().zip(maps) {
        let name = accelerator.name.as_str();
        if request.accelerator.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let first_port = match &request.from {
            Some(from) if from.accelerator.as_str() > name => continue,
            Some(from) if from.accelerator == name => from.port,
            _ => 0,
        };
        let rows: Box<dyn Iterator<Item = Destination<'_>>> = match request.destination {
            None => Box::new(mapping.rows(first_port)),
            Some(address) => {
                let mut rows: Vec<_> =
                    mapping.rows_to(address).filter(|row| row.accelerator_port >= first_port).collect();
                rows.sort_unstable_by_key(|row| row.accelerator_port);
                Box::new(rows.into_iter())
            }
        };
        for row in rows {
            if page.mappings.len() == wanted {
                page.next = Some(MappingCursor { accelerator: name.to_owned(), port: row.accelerator_port });
                return Ok(page);
            }
            page.mappings.push(port_mapping(accelerator, &row));
        }
    }
    Ok(page)
}

fn port_mapping(accelerator: &CustomRoutingAccelerator, row: &Destination<'_>) -> PortMapping {
    PortMapping {
        accelerator: accelerator.name.to_string(),
        accelerator_port: row.accelerator_port,
        accelerator_socket_addresses: accelerator.addresses.map(|a| SocketAddrV4::new(a, row.accelerator_port)),
        endpoint_group_region: row.allocation.region.to_string(),
        endpoint_id: row.allocation.subnet.to_string(),
        destination_socket_address: row.address,
        protocols: row.protocols.names().into_iter().map(str::to_owned).collect(),
        destination_traffic_state: row.state.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use perigee_config::Layers;

    use super::*;

    const MAIN: &str = r#"
[custom_routing_accelerators.arena]
addresses = ["127.75.4.1", "127.99.85.1"]
listeners = [{ port_ranges = [{ from_port = 500, to_port = 599 }], endpoint_groups = [{ region = "ap-northeast-2",
    destination_configurations = [{ from_port = 80, to_port = 81, protocols = ["TCP"] }],
    endpoints = [{ endpoint_id = "subnet-0000aaaa" }] }] }]
[custom_routing_accelerators.game]
addresses = ["127.75.3.1", "127.99.84.1"]
listeners = [{ port_ranges = [{ from_port = 100, to_port = 199 }], endpoint_groups = [{ region = "ap-northeast-2",
    destination_configurations = [{ from_port = 7000, to_port = 7000, protocols = ["TCP"] }],
    endpoints = [{ endpoint_id = "subnet-0000aaaa", allow = [{ addresses = ["127.82.16.5"] }] }] }] }]
"#;
    const SEOUL: &str = "[[zones]]\nname = \"ap-northeast-2a\"\n[subnets.subnet-0000aaaa]\ncidr = \"127.82.16.0/28\"\n";

    fn config() -> Config {
        Layers::from_strings(Some(MAIN), &[("ap-northeast-2", SEOUL)]).load().unwrap()
    }

    #[test]
    fn pages_of_any_size_put_together_are_the_whole_map() {
        let config = config();
        let whole = offline_mappings(&config, &Mappings::default()).unwrap();
        assert_eq!((whole.mappings.len(), whole.next), (33, None));
        for size in [1, 7, 22, 33] {
            let mut request = Mappings { max_results: Some(size), ..Mappings::default() };
            let mut rows = Vec::new();
            loop {
                let page = offline_mappings(&config, &request).unwrap();
                assert!(page.mappings.len() <= size as usize);
                rows.extend(page.mappings);
                request.from = page.next;
                if request.from.is_none() {
                    break;
                }
            }
            assert_eq!(rows, whole.mappings, "pages of {size}");
        }
    }

    #[test]
    fn a_destination_is_found_behind_every_accelerator_that_leads_to_it() {
        let request = Mappings { destination: Some([127, 82, 16, 5].into()), ..Mappings::default() };
        let page = offline_mappings(&config(), &request).unwrap();
        let rows: Vec<String> = (page.mappings.iter())
            .map(|m| {
                let [first, second] = m.accelerator_socket_addresses;
                format!("{first} {second} {} {}", m.destination_socket_address, m.destination_traffic_state)
            })
            .collect();
        assert_eq!(
            rows,
            [
                "127.75.4.1:502 127.99.85.1:502 127.82.16.5:80 DENY",
                "127.75.4.1:503 127.99.85.1:503 127.82.16.5:81 DENY",
                "127.75.3.1:101 127.99.84.1:101 127.82.16.5:7000 ALLOW",
            ]
        );
        let request = Mappings { accelerator: Some("shop".into()), ..Mappings::default() };
        let refused = offline_mappings(&config(), &request).unwrap_err();
        assert!(refused.ends_with("there is arena, game"), "{refused}");
    }
}
