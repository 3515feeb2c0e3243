use std::time::Duration;

use perigee_health::TargetState;
use perigee_net::Fault;
use tokio::net::TcpStream;

use super::support::{Client, Lab, Origin, snapshot, until};

#[tokio::test]
async fn a_broken_host_answers_500_itself_and_a_slow_one_late() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    lab.host.set_fault(Fault::Error);
    let mut client = lab.client().await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.headers["server"].as_str()), (500, "awselb/2.0"));
    let status = lab.handle.status_address().await.expect("it listens");
    assert_eq!(Client::connect(status).await.get("/v1/report").await.status, 500);
    lab.host.set_fault(Fault::Slow { delay_ms: 150 });
    let began = std::time::Instant::now();
    assert_eq!(client.get("/").await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_crash_resets_everybody_and_the_node_comes_back_with_its_targets_checked_anew() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut client = lab.client().await;
    assert_eq!(client.get("/").await.status, 200);
    lab.host.set_fault(Fault::Crash);
    assert!(client.rest().await.is_empty());
    while TcpStream::connect(lab.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.handle.shared().pool.open_idle(), 0);
    lab.host.set_fault(Fault::None);
    lab.until_states(TargetState::Healthy).await;
    let mut back = loop {
        match TcpStream::connect(lab.address).await {
            Ok(_) => break lab.client().await,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(back.get("/").await.status, 200);
}

#[tokio::test]
async fn when_the_node_ends_running_requests_finish_and_idle_connections_close() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let (mut idle, mut busy) = (lab.client().await, lab.client().await);
    assert_eq!(idle.get("/").await.status, 200);
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
    until("the target has it", || a.holding.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    lab.shutdown.begin();
    assert!(idle.rest().await.is_empty());
    while TcpStream::connect(lab.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    a.release.add_permits(1);
    let answer = busy.answer().await.expect("the running request is answered");
    assert_eq!((answer.status, answer.headers["connection"].as_str()), (200, "close"));
    assert!(busy.rest().await.is_empty());
    assert_eq!(lab.shutdown.finish(Duration::from_secs(10)).await, 0, "nothing runs any more");
}

#[tokio::test]
async fn a_connection_made_just_before_the_end_may_send_one_request() {
    let a = Origin::start("a").await;
    let lab = Lab::start(snapshot(vec![a.target()])).await;
    let mut early = lab.client().await;
    until("it is accepted", || lab.handle.connections() == 1).await;
    lab.shutdown.begin();
    let answer = early.get("/").await;
    assert_eq!((answer.status, answer.headers["connection"].as_str()), (200, "close"));
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_keep_anybody_out() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        match TcpStream::connect(lab.address).await {
            Ok(stream) => idle.push(stream),
            // The machine's own limit on open files ends the crowd early; it is a crowd all the same.
            Err(_) => break,
        }
    }
    idle.truncate(idle.len().saturating_sub(20));
    assert!(idle.len() > 100);
    assert_eq!(lab.get("/").await.status, 200);
}
