//! The examples under `docs/examples` are configurations that a stack takes.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use perigee_config::Sources;

#[test]
fn the_example_of_the_edge_has_every_kind_of_accelerator() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/examples/edge");
    let snapshot = perigee_config::load(&Sources { dir: Some(dir), ..Sources::default() }).unwrap().snapshot;
    let names: Vec<&str> = snapshot.accelerators.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["game", "shop"]);
    assert!(snapshot.accelerators[1].flow_logs.is_some());
    assert_eq!(snapshot.instances.len(), 2);
    assert_eq!(snapshot.custom_routing_accelerators.len(), 1);
}
