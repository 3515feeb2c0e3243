//! The life of flows through the whole edge.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

#[tokio::test]
async fn a_flow_without_payload_ends_after_the_idle_time_out_and_one_with_it_does_not() {
    let lab = Lab::start(|s| s.settings.timing.tcp_idle_timeout = Duration::from_millis(400)).await;
    let mut idle = lab.client().await;
    exchange(&mut idle).await;
    let mut busy = lab.client().await;
    let talk = async {
        loop {
            exchange(&mut busy).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut byte = [0];
    tokio::select! {
        end = idle.read(&mut byte) => assert_eq!(end.ok(), Some(0), "both sides get a FIN"),
        () = talk => {}
    }
    assert!(exchange(&mut busy).await.contains("hello"), "the busy flow goes on");
    assert!(lab.metrics().contains("perigee_edge_idle_flows_closed_total 1"));
}

#[tokio::test]
async fn a_blackholed_region_costs_a_new_connection_a_stagger() {
    let lab = Lab::start(|_| {}).await;
    lab.region(1, Fault::Blackhole).await;
    let answer = lab.ask().await;
    assert!(!is_seoul(&answer) && answer.contains("say hello"), "{answer}");
    let metrics = lab.metrics();
    assert!(!metrics.contains("perigee_edge_attempts_moved_on_total 0"), "{metrics}");
}

#[tokio::test]
async fn a_listener_of_two_thousand_ports_is_a_socket_a_port() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("as many files as may be");
    let lab = Lab::start(|_| {}).await;
    let mut next = Snapshot::clone(&lab.front.view().snapshot);
    next.generation += 1;
    next.accelerators[0].listeners[0].port_ranges.push(PortRange { from_port: 20_000, to_port: 21_999 });
    let before = std::fs::read_dir("/proc/self/task").expect("threads").count();
    lab.apply(next.clone()).await;
    assert_eq!(lab.proxy.status().listening.len(), 2 * 2_001);
    for port in [20_000, 20_001, 21_998, 21_999] {
        for (node, host) in next.load_balancers.iter().flat_map(|lb| &lb.nodes).zip(&lab.nodes) {
            serve_flows(host, SocketAddr::new(node.address, port)).await;
        }
        let mut client = lab.connect(SocketAddr::new(lab.entry.ip(), port)).await.expect("accepted");
        assert!(exchange(&mut client).await.contains("hello"), "port {port}");
    }
    // The runtime may have begun threads that block; the edge has not.
    let names = std::fs::read_dir("/proc/self/task").expect("threads").flatten();
    let names = names.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let cores = std::thread::available_parallelism().expect("cores").get();
    assert_eq!(names.filter(|name| name.starts_with("edge-tcp-")).count(), cores, "{before} threads before");
    next.generation += 1;
    next.accelerators[0].listeners[0].port_ranges.truncate(1);
    lab.apply(next).await;
    assert_eq!(lab.proxy.status().listening.len(), 2);
    let refused = lab.connect(SocketAddr::new(lab.entry.ip(), 20_000)).await.map_err(|e| e.kind());
    assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn a_client_that_never_answers_a_fin_does_not_hold_the_drain_up() {
    let lab = Lab::start(|_| {}).await;
    let mut client = lab.client().await;
    exchange(&mut client).await;
    // The node ends the flow, the client does not.
    client.write_all(b"bye").await.expect("sent");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("the node's end is passed on");
    assert_eq!(lab.proxy.status().active_flows, 1, "half-closed flows live on while nothing drains");
    assert_eq!(lab.shutdown.finish(Duration::from_secs(20)).await, 0);
    drop(client);
}

#[tokio::test]
async fn hundreds_of_flows_leave_no_descriptor_behind() {
    let lab = Lab::start(|_| {}).await;
    let files = || std::fs::read_dir("/proc/self/fd").expect("files").count();
    assert!(lab.ask().await.contains("hello"));
    lab.until(|lab| lab.proxy.status().active_flows == 0).await;
    let before = files();
    for _ in 0..10 {
        let mut clients = Vec::new();
        for _ in 0..30 {
            clients.push(lab.client().await);
        }
        for client in &mut clients {
            assert!(exchange(client).await.contains("hello"));
        }
    }
    lab.until(|lab| lab.proxy.status().active_flows == 0).await;
    // The nodes of the lab close theirs a moment later.
    while files() > before + 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
