//! What metrics and flow logs tell of real flows.

use std::io::Read;
use std::path::{Path, PathBuf};

use perigee_flow_log::{Direction, EdgeSource, FlowRecord, LogStatus};
use perigee_model::{AccountId, FlowLogFormat, FlowLogs};
use perigee_steering::Flow;

use super::*;

/// The sum of a documented metric's series that have all of `labels`.
fn sum(lab: &Lab, metric: &str, labels: &[&str]) -> i64 {
    let text = lab.metrics();
    let name = format!("aws_globalaccelerator_{metric}");
    let series =
        text.lines().filter(|l| l.starts_with(&format!("{name}{{")) || l.starts_with(&format!("{name}_total{{")));
    let wanted = series.filter(|line| labels.iter().all(|label| line.contains(label)));
    wanted.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<i64>().ok()).expect("a whole number")).sum()
}

/// Seoul and Tokyo by country, as a configuration has them.
fn places(snapshot: &mut Snapshot) {
    snapshot.regions[0].country = "JP".into();
    snapshot.regions[1].country = "KR".into();
}

async fn over(lab: &Lab) {
    lab.until(|lab| lab.proxy.status().active_flows == 0).await;
}

/// A directory that goes away with its test.
pub(crate) struct Bucket(PathBuf);

impl Bucket {
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("perigee-edge-{}-{name}", std::process::id())))
    }

    pub(crate) fn logs(&self, format: FlowLogFormat) -> Option<FlowLogs> {
        Some(FlowLogs { bucket: self.0.clone(), prefix: "edge".into(), format })
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let kind = if entry.path().is_dir() { &mut folders } else { &mut found };
                kind.push(entry.path());
            }
        }
        found
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn records(file: &Path) -> Vec<FlowRecord> {
    let mut text = String::new();
    let file = std::fs::File::open(file).expect("the file is there");
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("it is whole");
    text.lines().map(|line| FlowRecord::from_line(line).expect(line)).collect()
}

#[tokio::test]
async fn a_flow_through_the_edge_has_a_record_for_each_direction() {
    let bucket = Bucket::new("records");
    let lab = Lab::start(|s| {
        s.accelerators[0].flow_logs = bucket.logs(FlowLogFormat::Text);
        s.settings.account_id = AccountId::new(42).expect("it has few digits");
    })
    .await;
    let mut client = lab.client().await;
    let port = client.local_addr().expect("it is bound").port();
    let answer = exchange(&mut client).await;
    drop(client);
    over(&lab).await;
    assert!(lab.metrics.close_flow_logs());
    let files = bucket.files();
    assert_eq!(files.len(), 1, "{files:?}");
    let records = records(&files[0]);
    let [ingress, egress] = &records[..] else { panic!("{records:?}") };
    assert_eq!((ingress.direction, egress.direction), (Direction::Ingress, Direction::Egress));
    let flow = &ingress.flow;
    assert_eq!((flow.account.to_string().as_str(), flow.edge.as_str()), ("000000000042", "ICN"));
    assert_eq!(flow.accelerator, lab.front.view().snapshot.accelerators[0].id());
    assert_eq!((flow.client, flow.destination), (([127, 82, 200, 9], port).into(), lab.entry));
    assert_eq!(flow.endpoint_region.as_str(), "ap-northeast-2");
    assert!(answer.starts_with(&format!("{} ", flow.endpoint.ip())), "{answer} of {}", flow.endpoint);
    assert_eq!((&flow.source, flow.version(), flow.protocol), (&EdgeSource::Client { vpc_id: None }, "2.0", 6));
    let sizes = [("hello\n".len(), ingress), (answer.len(), egress)];
    for (payload, record) in sizes {
        assert!(record.packets > 0 && record.status == LogStatus::Ok, "{record}");
        assert_eq!(record.bytes, payload as u64 + 52 * record.packets, "{record}");
    }
    assert_eq!(sum(&lab, "processed_bytes_in", &[]), ingress.bytes.cast_signed());
    assert_eq!(sum(&lab, "processed_bytes_out", &[]), egress.bytes.cast_signed());
    assert_eq!(sum(&lab, "packets_processed", &[]), (ingress.packets + egress.packets).cast_signed());
    assert!(lab.metrics().contains("perigee_flow_log_records_total 2"));
}

#[tokio::test]
async fn without_client_ip_preservation_the_record_names_the_edges_own_end() {
    let bucket = Bucket::new("edge-end");
    let lab = Lab::start(|s| {
        s.accelerators[0].flow_logs = bucket.logs(FlowLogFormat::Text);
        for group in &mut s.accelerators[0].listeners[0].endpoint_groups {
            group.endpoints[0].client_ip_preservation = false;
        }
    })
    .await;
    lab.ask().await;
    over(&lab).await;
    assert!(lab.metrics.close_flow_logs());
    let record = records(&bucket.files()[0]).remove(0);
    let edge_end = record.flow.edge_end().expect("the edge's own end");
    assert!(
        record.flow.version() == "1.0" && edge_end.port() > 0 && edge_end.ip() != record.flow.client.ip(),
        "{record}"
    );
}

#[tokio::test]
async fn an_accelerator_without_flow_logs_writes_none() {
    let bucket = Bucket::new("off");
    let lab = Lab::start(|_| {}).await;
    lab.ask().await;
    over(&lab).await;
    assert!(lab.metrics.close_flow_logs());
    assert!(bucket.files().is_empty() && lab.metrics().contains("perigee_flow_log_records_total 0"));
}

#[tokio::test]
async fn t21_the_source_region_is_the_endpoints_and_the_destination_edge_the_clients() {
    let lab = Lab::start(places).await;
    lab.ask().await;
    over(&lab).await;
    let (seoul, tokyo) = (["source_region=\"KR\""], ["source_region=\"AP\""]);
    assert_eq!((sum(&lab, "new_flow_count", &seoul), sum(&lab, "new_flow_count", &tokyo)), (1, 0));
    lab.region(1, Fault::Crash).await;
    assert!(!is_seoul(&lab.ask().await));
    over(&lab).await;
    assert_eq!((sum(&lab, "new_flow_count", &seoul), sum(&lab, "new_flow_count", &tokyo)), (1, 1));
    assert_eq!(sum(&lab, "new_flow_count", &["destination_edge=\"KR\""]), 2);
}

#[tokio::test]
async fn every_documented_set_of_dimensions_is_a_sum_that_counts_each_flow_once() {
    let lab = Lab::start(places).await;
    let id = lab.front.view().snapshot.accelerators[0].id();
    let accelerator = format!("accelerator=\"{id}\"");
    for _ in 0..3 {
        lab.ask().await;
    }
    let open = lab.client().await;
    lab.until(|lab| sum(lab, "new_flow_count", &[]) == 4).await;
    let (port, address) = (lab.entry.port(), lab.entry.ip());
    for further in [
        String::new(),
        format!("listener=\"tcp-{port}\""),
        "endpoint_group=\"ap-northeast-2\"".to_owned(),
        "source_region=\"KR\"".to_owned(),
        "destination_edge=\"KR\"".to_owned(),
        "transport_protocol=\"TCP\"".to_owned(),
        format!("accelerator_ip_address=\"{address}\""),
        "network_protocol=\"IPv4\"".to_owned(),
        "accelerator_name=\"shop\"".to_owned(),
    ] {
        assert_eq!(sum(&lab, "new_flow_count", &[&accelerator, &further]), 4, "{further}");
    }
    lab.until(|lab| sum(lab, "active_flow_count", &[&accelerator]) == 1).await;
    drop(open);
    lab.until(|lab| sum(lab, "active_flow_count", &[&accelerator]) == 0).await;
}

#[tokio::test]
async fn a_reset_is_counted_for_the_side_that_made_it() {
    let counts = |lab: &Lab| ["aga", "client", "endpoint"].map(|by| sum(lab, &format!("tcp_{by}_reset_count"), &[]));
    let lab = Lab::start(|_| {}).await;
    let mut client = lab.client().await;
    exchange(&mut client).await;
    perigee_net::reset_on_drop(&client);
    drop(client);
    over(&lab).await;
    assert_eq!(counts(&lab), [0, 1, 0]);
    let mut client = lab.client().await;
    exchange(&mut client).await;
    lab.region(1, Fault::Crash).await;
    over(&lab).await;
    assert_eq!(counts(&lab), [0, 1, 1]);
    lab.region(1, Fault::None).await;
    let mut client = lab.client().await;
    exchange(&mut client).await;
    let mut next = Snapshot::clone(&lab.front.view().snapshot);
    next.generation += 1;
    next.accelerators[0].enabled = false;
    lab.apply(next).await;
    over(&lab).await;
    assert_eq!(counts(&lab), [1, 1, 1]);
}

#[tokio::test]
async fn a_client_that_the_edge_has_no_room_for_counts_as_reset_by_the_edge() {
    let lab = Lab::start(|s| s.settings.limits.edge_flows = 1).await;
    let mut first = lab.client().await;
    exchange(&mut first).await;
    let second = TcpSocket::new_v4().expect("a socket");
    second.bind(([127, 82, 200, 9], 0).into()).expect("an address in Seoul");
    // The reset may come before the connect is seen to be done.
    if let Ok(mut second) = second.connect(lab.entry).await {
        assert!(second.read(&mut [0]).await.is_err());
    }
    let labels = ["endpoint_group=\"-\"", "source_region=\"-\"", "destination_edge=\"KR\""];
    lab.until(|lab| sum(lab, "tcp_aga_reset_count", &labels) == 1).await;
}

#[tokio::test]
async fn endpoints_are_counted_by_their_health_and_flows_from_zero() {
    let lab = Lab::start(|_| {}).await;
    assert!(lab.metrics().contains("aws_globalaccelerator_active_flow_count{"), "{}", lab.metrics());
    let seoul = ["endpoint_group=\"ap-northeast-2\""];
    let counts = |lab: &Lab| ["healthy", "unhealthy"].map(|state| sum(lab, &format!("{state}_endpoint_count"), &seoul));
    assert_eq!((counts(&lab), sum(&lab, "healthy_endpoint_count", &[])), ([1, 0], 2));
    lab.region(1, Fault::Crash).await;
    lab.until(|lab| counts(lab) == [0, 1]).await;
    assert_eq!(sum(&lab, "healthy_endpoint_count", &[]), 1);
    let mut next = Snapshot::clone(&lab.front.view().snapshot);
    next.generation += 1;
    next.accelerators[0].enabled = false;
    lab.apply(next).await;
    assert_eq!(sum(&lab, "healthy_endpoint_count", &[]), 0, "only while the accelerator is enabled");
}

#[tokio::test]
async fn an_ipv6_flow_without_an_ipv6_endpoint_counts_as_dropped_and_not_as_reset() {
    let lab = Lab::start(|_| {}).await;
    let mut snapshot = Snapshot::clone(&lab.front.view().snapshot);
    let address: IpAddr = [0xfd00_u16, 0, 0, 0, 0, 0, 0, 1].into();
    snapshot.accelerators[0].addresses.push(address);
    let snapshot = Arc::new(snapshot);
    let front = Front::new(snapshot.clone(), atlas(&snapshot), None, Clock::new());
    let flow = Flow::tcp("[2001:db8::1]:4000".parse().expect("an address"), SocketAddr::new(address, lab.entry.port()));
    let reason = match front.view().open(flow, perigee_model::Instant::START) {
        Err(refusal) => refusal.name(),
        Ok(_) => panic!("the load balancers have no IPv6 addresses"),
    };
    lab.metrics.meter().refused(&front.view(), &flow, reason);
    let ipv6 = ["network_protocol=\"IPv6\"", "accelerator_ip_address=\"fd00::1\""];
    assert_eq!(sum(&lab, "flows_dropped_no_endpoint_found", &ipv6), 1);
    assert_eq!(sum(&lab, "tcp_aga_reset_count", &[]), 0);
    lab.metrics.meter().refused(&front.view(), &Flow::udp(flow.client, flow.destination), reason);
    assert_eq!(sum(&lab, "flows_dropped_no_endpoint_found", &[]), 1, "UDP was counted");
}
