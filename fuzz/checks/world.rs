//! What the checks' servers answer for: the regions of the fixtures, and whatever else a check adds.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use perigee_dataplane::EdgeView;
use perigee_dns::{Metrics, Responder};
use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_model::{Snapshot, fixtures};
use prometheus_client::registry::Registry;

/// A client in the simulated Seoul.
pub const IN_SEOUL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 82, 200, 9)), 5353);

/// Two regions, and the places of the shipped database; made once, as reading that takes a while.
pub fn base() -> &'static (Snapshot, Arc<Atlas>) {
    static BASE: OnceLock<(Snapshot, Arc<Atlas>)> = OnceLock::new();
    BASE.get_or_init(|| {
        let snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).expect("shipped tables");
        let overlay = Overlay::parse(shipped::OVERLAY).expect("shipped overlay");
        let database = Arc::new(Database::load(shipped::CITY).expect("shipped database"));
        let regions: Vec<_> = snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let atlas = Atlas::build(&database, &tables, &overlay, &regions, "Seoul").expect("an atlas");
        (snapshot, Arc::new(atlas))
    })
}

/// A responder of this view.
pub fn responder(view: Arc<EdgeView>) -> Responder {
    let view = Arc::new(ArcSwap::new(view));
    Responder::new(view, vec![[127, 0, 0, 1].into()], Metrics::new(&mut Registry::default()))
}
