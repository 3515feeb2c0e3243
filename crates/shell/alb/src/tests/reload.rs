use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use perigee_health::TargetState;
use perigee_model::LoadBalancerIndex;

use super::support::{Client, Lab, Origin, snapshot, until};

#[tokio::test]
async fn a_target_taken_away_under_load_fails_nobody() {
    let (a, b) = (Origin::start("a").await, Origin::start("b").await);
    let lab = Lab::healthy(&[&a, &b]).await;
    let (stop, failed, served) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (stop, failed, served, address) = (stop.clone(), failed.clone(), served.clone(), lab.address);
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                while !stop.load(Ordering::SeqCst) {
                    if n % 2 == 0 {
                        client = Client::connect(address).await;
                    }
                    let ok = client.get("/").await.status == 200;
                    (if ok { &served } else { &failed }).fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let reached = |n: usize| {
        let served = served.clone();
        move || served.load(Ordering::SeqCst) >= n
    };
    until("there is load", reached(100)).await;
    let mut held = lab.client().await;
    let holds = |o: &Origin| o.holding.load(Ordering::SeqCst) == 1;
    held.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until("somebody holds a request", || holds(&a) || holds(&b)).await;
    let (leaves, stays) = if holds(&a) { (&a, &b) } else { (&b, &a) };
    lab.reload(snapshot(vec![stays.target()])).await;
    let running = |state| lab.handle.status().iter().filter(|t| t.state == state).map(|t| t.in_flight).sum::<u32>();
    until("only the held request is left", || running(TargetState::Draining) == 1).await;
    let before = leaves.requests.load(Ordering::SeqCst);
    until("there is more load", reached(served.load(Ordering::SeqCst) + 200)).await;
    assert_eq!(leaves.requests.load(Ordering::SeqCst), before, "a draining target gets nothing new");
    leaves.release.add_permits(1);
    assert_eq!(held.answer().await.expect("the held request is answered").status, 200);
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("the client ends");
    }
    assert_eq!(failed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_request_that_outlives_the_deregistration_delay_is_cut_with_502() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut held = lab.client().await;
    held.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until("the target has it", || a.holding.load(Ordering::SeqCst) == 1).await;
    let mut config = snapshot(Vec::new());
    config.target_groups[0].deregistration_delay = Duration::from_millis(100);
    lab.reload(config).await;
    assert_eq!(lab.handle.status()[0].state, TargetState::Draining);
    assert_eq!(held.answer().await.expect("an answer").status, 502);
    until("the target is gone", || lab.handle.status().is_empty()).await;
    until("its connection is cut", || a.holding.load(Ordering::SeqCst) == 0).await;
    assert_eq!(lab.get("/").await.status, 503);
}

#[tokio::test]
async fn listeners_come_and_go_without_touching_the_others() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut kept = lab.client().await;
    assert_eq!(kept.get("/").await.status, 200);
    // A port that was free a moment ago.
    let free = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.and_then(|l| l.local_addr()).expect("a port");
    let mut both = snapshot(vec![a.target()]);
    let mut second = both.load_balancers[0].listeners[0].clone();
    second.port = free.port();
    both.load_balancers[0].listeners.push(second.clone());
    lab.reload(both).await;
    let mut other = Client::connect(free).await;
    assert_eq!((other.get("/").await.status, kept.get("/").await.status), (200, 200));
    lab.reload(snapshot(vec![a.target()])).await;
    assert!(other.rest().await.is_empty(), "a connection of a closed listener ends");
    assert_eq!(kept.get("/").await.status, 200);
}

#[tokio::test]
async fn a_snapshot_whose_port_is_taken_is_refused_and_the_old_one_goes_on() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut wrong = snapshot(Vec::new());
    let mut taken = wrong.load_balancers[0].listeners[0].clone();
    taken.port = a.address.port();
    wrong.load_balancers[0].listeners.push(taken);
    let refused = lab.handle.set_snapshot(Arc::new(wrong), LoadBalancerIndex(0), 0).await;
    assert_eq!(refused.map_err(|e| e.kind()), Err(std::io::ErrorKind::AddrInUse));
    assert_eq!(lab.get("/").await.status, 200);
}
