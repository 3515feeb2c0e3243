//! The UDP side of the edge on real sockets: endpoints are small echoes on loopback addresses of their own.

mod lab;
mod metering;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use perigee_dataplane::EdgeView;
use perigee_model::{Behaviour, EndpointTarget, PortRange, Snapshot, TrafficDial, fixtures};
use perigee_net::Fault;
use perigee_steering::Flow;

use lab::{Client, Lab, PORT, SEOUL, TOKYO};

fn range(from_port: u16, to_port: u16) -> PortRange {
    PortRange { from_port, to_port }
}

fn routed(view: &EdgeView, client: SocketAddr, destination: SocketAddr) -> IpAddr {
    view.route_udp(&Flow::udp(client, destination)).expect("there is an endpoint").candidate.address.ip()
}

#[tokio::test]
async fn clients_of_two_places_reach_two_regions_through_both_addresses() {
    let lab = Lab::start(2, |_| {}).await;
    for (client, region) in [([127, 82, 200, 9], SEOUL), ([127, 81, 200, 9], TOKYO)] {
        for entry in lab.entries {
            let client = Client::of(client, entry).await;
            let answer = client.ask("hello").await;
            assert_eq!(lab.region_of(&answer), region, "{answer}");
            let own = format!("saw {} say hello", client.address.ip());
            assert!(answer.contains(&own), "the endpoint sees the client's own address: {answer}");
        }
    }
    // An answer is counted once it has left.
    lab.until(|lab| lab.metrics().contains("perigee_edge_udp_datagrams_total{direction=\"out\"} 4")).await;
    let metrics = lab.metrics();
    assert!(metrics.contains("perigee_edge_udp_new_flows_total{accelerator=\"shop\",pop=\"ICN\""), "{metrics}");
    assert!(metrics.contains("perigee_edge_udp_datagrams_total{direction=\"in\"} 4"), "{metrics}");
    assert_eq!(lab.udp.status().active_flows, 4);
    assert_eq!(lab.udp.status().new_flows_10s.values().sum::<u64>(), 4);
}

#[tokio::test]
async fn a_flow_goes_where_the_law_sends_it_and_the_dial_divides_the_clients() {
    let lab = Lab::start(2, |s| {
        s.accelerators[0].listeners[0].endpoint_groups[SEOUL].traffic_dial = TrafficDial::new(50.0).expect("a dial");
    })
    .await;
    let mut regions = [0; 2];
    // Kept: the port of one that is gone may be the next one's, and so its flow.
    let mut clients = Vec::new();
    for i in 0..200 {
        let client = Client::of([127, 82, 200, 9], lab.entries[i % 2]).await;
        let answer = client.ask("x").await;
        let expected = routed(&lab.front.view(), client.address, lab.entries[i % 2]);
        assert!(answer.starts_with(&format!("{expected} ")), "{answer}");
        regions[lab.region_of(&answer)] += 1;
        clients.push(client);
    }
    assert!(regions.iter().all(|n| *n > 0), "{regions:?}");
    let by_region: Vec<u64> = lab.udp.status().new_flows_10s.into_values().collect();
    assert_eq!(by_region.iter().sum::<u64>(), 200);
}

#[tokio::test]
async fn an_established_flow_stays_where_it_is_whatever_health_says_and_new_ones_go_elsewhere() {
    let lab = Lab::start(2, |_| {}).await;
    let old = lab.client().await;
    assert_eq!(lab.region_of(&old.ask("a").await), SEOUL);
    lab.force_unhealthy(SEOUL);
    let new = lab.client().await;
    assert_eq!(lab.region_of(&new.ask("b").await), TOKYO, "the first datagram after detection");
    assert_eq!(lab.region_of(&old.ask("c").await), SEOUL);
}

#[tokio::test]
async fn after_the_idle_time_out_a_flow_is_forgotten_and_the_next_datagram_routed_afresh() {
    let lab = Lab::start(1, |s| s.settings.timing.udp_idle_timeout = Duration::from_millis(50)).await;
    let client = lab.client().await;
    assert_eq!(lab.region_of(&client.ask("a").await), SEOUL);
    lab.force_unhealthy(SEOUL);
    lab.until(|lab| lab.udp.status().active_flows == 0).await;
    assert!(lab.metrics().contains("perigee_edge_udp_idle_flows_total 1"));
    assert_eq!(lab.region_of(&client.ask("b").await), TOKYO);
}

#[tokio::test]
async fn beyond_the_limit_the_flow_silent_for_longest_is_forgotten_and_counted() {
    let lab = Lab::start(1, |s| s.settings.limits.edge_udp_flows = 2).await;
    let clients = [lab.client().await, lab.client().await, lab.client().await];
    for client in &clients {
        client.ask("x").await;
    }
    assert_eq!(lab.udp.status().active_flows, 2);
    assert!(lab.metrics().contains("perigee_edge_udp_limit_hits_total{limit=\"edge_udp_flows\"} 1"));
    // It begins anew, and costs the next one in line its place.
    assert!(clients[0].ask("y").await.contains("say y"));
    assert_eq!(lab.udp.status().active_flows, 2);
}

#[tokio::test]
async fn a_closed_port_at_the_endpoint_is_evidence_and_moves_new_flows_only() {
    let lab = Lab::start(1, |_| {}).await;
    let old = lab.client().await;
    assert_eq!(lab.region_of(&old.ask("a").await), SEOUL);
    lab.close(SEOUL).await;
    // What is sent to the dead region is lost, and its nodes are known to be dead by that.
    let mut asked = 0;
    while lab.front.view().health.load_balancers[SEOUL].is_healthy() {
        asked += 1;
        assert!(asked < 1_000, "the edge learns nothing");
        let client = lab.client().await;
        client.send("lost").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(lab.region_of(&lab.client().await.ask("b").await), TOKYO);
    old.send("still to the dead").await;
    lab.until(|lab| lab.metrics().contains("region=\"ap-northeast-1\"} 1")).await;
}

#[tokio::test]
async fn an_instance_gets_datagrams_as_they_are_and_its_closed_port_is_evidence_about_it() {
    let lab = Lab::start(1, |s| {
        fixtures::add_instances(s);
        for (region, group) in s.accelerators[0].listeners[0].endpoint_groups.iter_mut().enumerate() {
            group.health_check.interval = Duration::from_millis(100);
            group.endpoints.retain(|e| matches!(e.target, EndpointTarget::Instance(_)));
            s.instances[region].address = s.load_balancers[region].nodes[0].address;
        }
    })
    .await;
    let old = lab.client().await;
    let answer = old.ask("a").await;
    assert_eq!(lab.region_of(&answer), SEOUL);
    assert!(answer.ends_with("saw 127.82.200.9 say a"), "{answer}");
    lab.close(SEOUL).await;
    let is_moved = |lab: &Lab| {
        let (client, node) = (([127, 82, 200, 9], 1).into(), lab.nodes[TOKYO][0]);
        routed(&lab.front.view(), client, lab.entries[0]) == node
    };
    // The answer to the first is the evidence, which the second brings home at the latest.
    old.send("lost").await;
    old.send("lost").await;
    lab.until(is_moved).await;
    assert_eq!(lab.region_of(&lab.client().await.ask("b").await), TOKYO);
}

#[tokio::test]
async fn in_aws_a_closed_port_is_the_clients_trouble() {
    let lab = Lab::start(1, |s| s.settings.behaviour = Behaviour::Aws).await;
    lab.close(SEOUL).await;
    for n in 1..=5 {
        lab.client().await.send("lost").await;
        lab.until(|lab| lab.metrics().contains(&format!("udp_datagrams_total{{direction=\"in\"}} {n}"))).await;
    }
    assert!(lab.front.view().health.load_balancers[SEOUL].is_healthy());
}

#[tokio::test]
async fn a_range_of_a_thousand_ports_is_served_by_as_many_threads_as_one_port() {
    let lab = Lab::start(2, |s| s.accelerators[0].listeners[0].port_ranges = vec![range(4_000, 4_999)]).await;
    assert_eq!(lab.udp.status().listening.len(), 2_000);
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux").count();
    assert!(threads < 50, "{threads} threads");
    for port in [4_000, 4_321, 4_500, 4_999] {
        for entry in lab.entries {
            lab.echo(SocketAddr::new(lab.nodes[SEOUL][0], port));
            lab.echo(SocketAddr::new(lab.nodes[SEOUL][1], port));
            let client = Client::of([127, 82, 200, 9], SocketAddr::new(entry.ip(), port)).await;
            assert_eq!(lab.region_of(&client.ask("x").await), SEOUL);
        }
    }
}

#[tokio::test]
async fn datagrams_of_every_length_come_back_as_they_went() {
    let lab = Lab::start(2, |_| {}).await;
    let client = lab.client().await;
    for len in [0, 1, 1_200, 9_000, 60_000] {
        let payload = "x".repeat(len);
        assert!(client.ask(&payload).await.ends_with(&format!("say {payload}")), "{len} octets");
    }
    for i in 0..40 {
        client.send(&format!("burst {i:02}")).await;
    }
    for i in 0..40 {
        assert!(client.receive().await.ends_with(&format!("burst {i:02}")), "{i}");
    }
}

#[tokio::test]
async fn a_disabled_accelerator_says_nothing_and_its_flows_are_forgotten() {
    let lab = Lab::start(2, |_| {}).await;
    let client = lab.client().await;
    client.ask("a").await;
    let mut next = Snapshot::clone(&lab.front.view().snapshot);
    next.accelerators[0].enabled = false;
    lab.apply(next.clone()).await;
    assert_eq!((lab.udp.status().active_flows, lab.udp.status().listening.len()), (0, 0));
    client.send("b").await;
    lab.until(|lab| lab.metrics().contains("dropped_datagrams_total{reason=\"disabled\"} 1")).await;
    next.accelerators[0].enabled = true;
    lab.apply(next).await;
    assert!(client.ask("c").await.ends_with("say c"), "silence was no error for the client");
}

#[tokio::test]
async fn a_reload_keeps_flows_and_those_of_a_removed_port_are_forgotten() {
    let lab = Lab::start(2, |s| s.accelerators[0].listeners[0].port_ranges = vec![range(PORT, PORT + 1)]).await;
    let kept = lab.client().await;
    kept.ask("a").await;
    for node in lab.nodes[SEOUL] {
        lab.echo(SocketAddr::new(node, PORT + 1));
    }
    let gone = Client::of([127, 82, 200, 9], SocketAddr::new(lab.entries[0].ip(), PORT + 1)).await;
    gone.ask("b").await;
    let mut next = Snapshot::clone(&lab.front.view().snapshot);
    next.accelerators[0].listeners[0].port_ranges = vec![range(PORT, PORT), range(PORT + 2, PORT + 2)];
    // Its endpoints may go too: the flow stays with the one it has.
    next.accelerators[0].listeners[0].endpoint_groups[SEOUL].endpoints.clear();
    lab.apply(next).await;
    assert_eq!(lab.udp.status().active_flows, 1);
    assert_eq!(lab.udp.status().listening.len(), 4);
    assert_eq!(lab.region_of(&kept.ask("c").await), SEOUL);
    assert_eq!(lab.region_of(&lab.client().await.ask("d").await), TOKYO);
}

#[tokio::test]
async fn a_blackholed_pop_is_silent_both_ways_and_a_crashed_one_forgets_its_flows() {
    let lab = Lab::start(1, |_| {}).await;
    let client = lab.client().await;
    client.ask("a").await;
    let icn = lab.front.view().atlas.find_pop("ICN").expect("ICN");
    lab.pops.get(icn).set_fault(Fault::Blackhole);
    client.send("b").await;
    lab.until(|lab| lab.metrics().contains("dropped_datagrams_total{reason=\"pop_down\"} 1")).await;
    assert_eq!(lab.udp.status().active_flows, 1);
    lab.pops.get(icn).set_fault(Fault::None);
    assert!(client.ask("c").await.ends_with("say c"));
    lab.pops.get(icn).set_fault(Fault::Crash);
    lab.until(|lab| lab.udp.status().active_flows == 0).await;
    lab.front.set_pop(icn, false);
    assert!(client.ask("d").await.ends_with("say d"), "the next point of presence takes its clients");
}

#[tokio::test]
async fn a_failed_network_zone_is_silent_and_a_client_that_tries_the_other_address_is_served() {
    let lab = Lab::start(2, |_| {}).await;
    let clients =
        [Client::of([127, 82, 200, 9], lab.entries[0]).await, Client::of([127, 82, 200, 9], lab.entries[1]).await];
    for (down, zone) in ["zone-a", "zone-b"].into_iter().enumerate() {
        for client in &clients {
            client.ask("a").await;
        }
        assert_eq!(lab.udp.status().active_flows, 2);
        let host = lab.pops.find_zone(zone).expect("it is one of the two");
        host.set_fault(Fault::Crash);
        lab.until(|lab| lab.udp.status().active_flows == 1).await;
        clients[down].send("b").await;
        assert!(clients[1 - down].ask("c").await.ends_with("say c"));
        let lost = format!("dropped_datagrams_total{{reason=\"zone_down\"}} {}", down + 1);
        lab.until(|lab| lab.metrics().contains(&lost)).await;
        host.set_fault(Fault::None);
    }
}

#[tokio::test]
async fn a_drain_passes_on_what_has_arrived_and_ends_at_once() {
    let lab = Lab::start(2, |_| {}).await;
    let clients = [lab.client().await, lab.client().await];
    for client in &clients {
        client.ask("a").await;
    }
    let before = lab.heard();
    for client in &clients {
        for _ in 0..10 {
            client.send("last").await;
        }
    }
    assert_eq!(lab.shutdown.finish(Duration::from_secs(10)).await, 0);
    lab.until(|lab| lab.heard() == before + 20).await;
    assert_eq!(lab.udp.status().active_flows, 0);
    assert!(lab.udp.status().listening.is_empty());
}

#[tokio::test]
async fn an_address_that_somebody_has_is_an_error_that_names_it() {
    let lab = Lab::start(1, |_| {}).await;
    let taken = SocketAddr::new(lab.entries[0].ip(), PORT + 7);
    let _somebody = std::net::UdpSocket::bind(taken).expect("it is free");
    let mut next = Snapshot::clone(&lab.front.view().snapshot);
    next.accelerators[0].listeners[0].port_ranges.push(range(PORT + 7, PORT + 7));
    let error = lab.try_apply(next).await.expect_err("it is taken");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    assert!(lab.client().await.ask("x").await.ends_with("say x"), "the rest goes on");
}
