//! DNS runs, and loads that find their address by name.

#![allow(clippy::unwrap_used, reason = "a helper of a test that panics fails the test")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, Record, rdata};
use perigee_load::{Connections, DnsFailureKind, DnsPlan, DnsSummary, LoadPlan, Phase, run, run_dns};
use perigee_net::{Host, Shutdown};
use perigee_target::{App, Identity, serve};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

/// A server that answers query number `n` (from 0) with the datagrams of `each`.
async fn server(each: impl Fn(u64, Message) -> Vec<Vec<u8>> + Send + 'static) -> (SocketAddr, Arc<AtomicU64>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let queries = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&queries);
    tokio::spawn(async move {
        let mut buffer = [0; 2_048];
        while let Ok((n, peer)) = socket.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..n]).unwrap();
            for datagram in each(counter.fetch_add(1, Ordering::SeqCst), query) {
                socket.send_to(&datagram, peer).await.unwrap();
            }
        }
    });
    (address, queries)
}

fn reply(mut query: Message) -> Message {
    query.metadata.message_type = MessageType::Response;
    query.metadata.authoritative = true;
    query
}

fn addresses(query: Message, ttl: u32, list: &[[u8; 4]]) -> Vec<u8> {
    let mut r = reply(query);
    let name = r.queries[0].name().clone();
    for ip in list {
        r.add_answer(Record::from_rdata(name.clone(), ttl, RData::A(rdata::A(Ipv4Addr::from(*ip)))));
    }
    r.to_vec().unwrap()
}

fn plan(server: SocketAddr) -> DnsPlan {
    let regions = BTreeMap::from([
        (IpAddr::from([127, 82, 1, 1]), "ap-northeast-2".to_owned()),
        (IpAddr::from([127, 82, 3, 1]), "ap-northeast-2".to_owned()),
        (IpAddr::from([127, 81, 1, 1]), "ap-northeast-1".to_owned()),
    ]);
    let (rate, duration, timeout) = (50.0, Duration::from_millis(400), Duration::from_millis(300));
    DnsPlan { rate, duration, timeout, regions, ..DnsPlan::new(server, "app.perigee.test") }
}

async fn dns(plan: DnsPlan) -> DnsSummary {
    let summary = run_dns(plan, CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!(summary.queries, 20);
    assert_eq!(summary.queries, summary.ok + summary.failed + summary.shed);
    summary
}

#[tokio::test]
async fn a_change_of_the_answer_is_recorded_with_the_ttl_it_lived_under() {
    let (address, _) = server(|n, query| {
        vec![match n {
            // The order of the addresses is no change.
            0..5 => addresses(query, 30, &[[127, 82, 1, 1], [127, 82, 3, 1]]),
            5..10 => addresses(query, 30, &[[127, 82, 3, 1], [127, 82, 1, 1]]),
            _ => addresses(query, 15, &[[127, 81, 1, 1]]),
        }]
    })
    .await;
    let s = dns(plan(address)).await;
    assert_eq!((s.ok, s.failed), (20, 0), "{:?}", s.failures);
    assert_eq!(s.regions["ap-northeast-2"].answers, 10);
    assert_eq!(s.regions["ap-northeast-1"].answers, 10);
    assert_eq!(s.ttls, BTreeMap::from([(15, 10), (30, 10)]));
    assert_eq!(s.changes.len(), 1, "{:?}", s.changes);
    let change = &s.changes[0];
    assert_eq!((change.ttl_before_s, change.ttl_after_s), (30, 15));
    assert_eq!(change.to, [IpAddr::from([127, 81, 1, 1])]);
    assert_eq!(change.from.len(), 2);
    assert_eq!(s.answers.len(), 2);
    assert_eq!(s.answers[0].regions, ["ap-northeast-1"]);
}

#[tokio::test]
async fn every_way_to_have_no_address_has_its_kind() {
    let refusal = |code| {
        move |_: u64, query: Message| {
            let mut r = reply(query);
            r.metadata.response_code = code;
            vec![r.to_vec().unwrap()]
        }
    };
    let truncated = |_: u64, query: Message| {
        let mut r = reply(query);
        r.metadata.truncation = true;
        vec![r.to_vec().unwrap()]
    };
    let (nxdomain, _) = server(refusal(ResponseCode::NXDomain)).await;
    let (no_data, _) = server(|_, query| vec![reply(query).to_vec().unwrap()]).await;
    let (truncated, _) = server(truncated).await;
    let (garbage, _) = server(|_, _| vec![b"no DNS".to_vec()]).await;
    let (silent, _) = server(|_, _| Vec::new()).await;
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (server, kind) in [
        (nxdomain, DnsFailureKind::ResponseCode),
        (no_data, DnsFailureKind::NoData),
        (truncated, DnsFailureKind::Truncated),
        (garbage, DnsFailureKind::Malformed),
        (silent, DnsFailureKind::Timeout),
        (closed, DnsFailureKind::Network),
    ] {
        let s = dns(plan(server)).await;
        assert_eq!(s.failed_by_kind, BTreeMap::from([(kind, 20)]), "{:?}", s.failures.first());
        assert_eq!(s.longest_gap_ms, s.duration_ms);
    }
}

#[tokio::test]
async fn answers_to_other_questions_are_passed_over() {
    let (address, _) = server(|_, query| {
        let mut forged = query.clone();
        forged.metadata.id = query.metadata.id.wrapping_add(1);
        let (forged, echo) = (addresses(forged, 30, &[[192, 0, 2, 1]]), query.to_vec().unwrap());
        vec![forged, echo, addresses(query, 30, &[[127, 82, 1, 1]])]
    })
    .await;
    let s = dns(plan(address)).await;
    assert_eq!((s.ok, s.regions["ap-northeast-2"].answers), (20, 20), "{:?}", s.failures.first());
}

/// A target on the address that the name gets, and how often its name was asked for.
async fn load_by_name(ttl: u32) -> u64 {
    let host = Host::new("t1");
    let listener = host.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let port = listener.local_addr().port();
    let identity = Identity { target: "t1".into(), zone: "a".into(), region: "r1".into() };
    tokio::spawn(serve(listener, host, Arc::new(App::new(identity)), Shutdown::new()));
    let (resolver, queries) = server(move |_, query| vec![addresses(query, ttl, &[[127, 0, 0, 1]])]).await;
    let (rate, duration, connections) = (20.0, Duration::from_millis(500), Connections::New);
    let url = format!("http://app.perigee.test:{port}/");
    let plan = LoadPlan { rate, duration, connections, resolver: Some(resolver), ..LoadPlan::new(url) };
    let s = run(plan, CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!((s.ok, s.requests), (10, 10), "{:?}", s.failures.first());
    queries.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_load_by_name_keeps_an_answer_for_its_ttl_and_no_longer() {
    assert_eq!(load_by_name(300).await, 1);
    assert_eq!(load_by_name(0).await, 10);
}

#[tokio::test]
async fn a_name_without_an_address_fails_new_connections_in_the_resolve_phase() {
    let (resolver, _) = server(|_, query| {
        let mut r = reply(query);
        r.metadata.response_code = ResponseCode::NXDomain;
        vec![r.to_vec().unwrap()]
    })
    .await;
    let (rate, duration) = (20.0, Duration::from_millis(500));
    let plan = LoadPlan { rate, duration, resolver: Some(resolver), ..LoadPlan::new("http://gone.perigee.test/") };
    let s = run(plan, CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!((s.failed, s.requests), (10, 10));
    assert!(s.failures.iter().all(|f| f.phase == Phase::Resolve), "{:?}", s.failures);
    assert!(s.failures[0].error.contains("gone.perigee.test"), "{}", s.failures[0].error);
}
