//! What flow logs and metrics tell of UDP.

use perigee_flow_log::{Direction, EdgeSource};
use perigee_model::FlowLogFormat;

use super::lab::Lab;
use crate::tests::metering::{Bucket, records};

#[tokio::test]
async fn a_udp_flow_has_its_records_and_its_figures_once_it_is_over() {
    let bucket = Bucket::new("udp");
    let lab = Lab::start(1, |s| s.accelerators[0].flow_logs = bucket.logs(FlowLogFormat::Text)).await;
    let client = lab.client().await;
    let answer = client.ask("hello").await;
    assert_eq!(client.ask("hello").await, answer);
    // The end of the edge ends its flows.
    lab.shutdown.begin();
    assert_eq!(lab.shutdown.finish(std::time::Duration::from_secs(10)).await, 0);
    assert!(lab.edge.close_flow_logs());
    let records = records(&bucket.files()[0]);
    let [ingress, egress] = &records[..] else { panic!("{records:?}") };
    assert_eq!((ingress.direction, egress.direction), (Direction::Ingress, Direction::Egress));
    let flow = &ingress.flow;
    assert_eq!((flow.protocol, flow.client, flow.destination), (17, client.address, lab.entries[0]));
    assert_eq!((&flow.source, flow.edge.as_str()), (&EdgeSource::Client { vpc_id: None }, "ICN"));
    assert!(answer.starts_with(&format!("{} ", flow.endpoint.ip())), "{answer} of {}", flow.endpoint);
    for (payload, record) in [("hello".len(), ingress), (answer.len(), egress)] {
        assert_eq!((record.packets, record.bytes), (2, 2 * (payload as u64 + 28)), "{record}");
    }
    let metrics = lab.metrics();
    let has = |metric: &str, value: u64| {
        let lines = metrics.lines().filter(|l| l.starts_with(&format!("aws_globalaccelerator_{metric}{{")));
        lines.filter(|l| l.contains("transport_protocol=\"UDP\"") && l.ends_with(&format!(" {value}"))).count() == 1
    };
    assert!(
        has("new_flow_count_total", 1) && has("active_flow_count", 0) && has("packets_processed_total", 4),
        "{metrics}"
    );
    assert!(has("processed_bytes_in_total", ingress.bytes), "{metrics}");
    assert!(!metrics.contains("tcp_client_reset_count_total{"), "UDP has no resets: {metrics}");
}
