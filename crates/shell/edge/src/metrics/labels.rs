use std::net::IpAddr;

use perigee_dataplane::EdgeView;
use perigee_geo::{PopIndex, TrafficArea};
use perigee_model::{AcceleratorIndex, RegionIndex};

use super::flows::{Dimensions, NONE};

/// The way of a flow, as far as metrics tell flows apart: positions in one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    pub(crate) accelerator: AcceleratorIndex,
    /// Position of the listener in its accelerator.
    pub(crate) listener: usize,
    /// The endpoint group's; none for a flow without one.
    pub(crate) region: Option<RegionIndex>,
    pub(crate) pop: PopIndex,
    /// The static address that the client asked for.
    pub(crate) address: IpAddr,
}

impl Dimensions {
    /// The labels of a way in `view`, of whose snapshot it must be.
    pub(crate) fn new(view: &EdgeView, route: &Route) -> Self {
        let accelerator = view.snapshot.accelerator(route.accelerator);
        let region = route.region.map(|region| view.snapshot.region(region));
        let area = |country: &str| view.atlas.traffic_area(country).map_or(NONE, TrafficArea::code);
        Self {
            accelerator: accelerator.id().to_string(),
            accelerator_name: accelerator.name.to_string(),
            listener: listener(view, route.accelerator, route.listener),
            endpoint_group: region.map_or_else(|| NONE.to_owned(), |region| region.code.to_string()),
            source_region: region.map_or(NONE, |region| area(&region.country)),
            destination_edge: area(&view.atlas.pops()[route.pop.0].country),
            transport_protocol: view.snapshot.accelerator(route.accelerator).listeners[route.listener].protocol.name(),
            accelerator_ip_address: route.address.to_string(),
            network_protocol: if route.address.is_ipv4() { "IPv4" } else { "IPv6" },
        }
    }
}

/// What a listener is called while nothing hands out ARNs: its transport and first port, which no other listener of
/// its accelerator has (Perigee's choice).
pub(crate) fn listener(view: &EdgeView, accelerator: AcceleratorIndex, listener: usize) -> String {
    let listener = &view.snapshot.accelerator(accelerator).listeners[listener];
    let port = listener.port_ranges.iter().map(|range| range.from_port).min().unwrap_or_default();
    format!("{}-{port}", listener.protocol.name().to_ascii_lowercase())
}
