//! The two network zones, one at a time.

use super::*;

/// The same port at the address of the other zone.
fn other(lab: &Lab) -> SocketAddr {
    let IpAddr::V4(address) = lab.entry.ip() else { panic!("the lab is of IPv4") };
    let [a, b, c, d] = address.octets();
    SocketAddr::new([a, b, c, d + 1].into(), lab.entry.port())
}

async fn ask_at(lab: &Lab, to: SocketAddr) -> io::Result<String> {
    let mut client = lab.connect(to).await?;
    Ok(exchange(&mut client).await)
}

async fn set(lab: &Lab, zone: &str, fault: Fault) {
    let zone = lab.pops.find_zone(zone).expect("a zone");
    zone.set_fault(fault);
    zone.settled().await;
}

#[tokio::test]
async fn a_crashed_zone_refuses_and_resets_and_the_other_address_never_fails() {
    let lab = Lab::start(|_| {}).await;
    for (zone, dead, alive) in [("zone-a", lab.entry, other(&lab)), ("zone-b", other(&lab), lab.entry)] {
        let mut lost = lab.connect(dead).await.expect("accepted");
        let mut kept = lab.connect(alive).await.expect("accepted");
        exchange(&mut lost).await;
        exchange(&mut kept).await;
        set(&lab, zone, Fault::Crash).await;
        assert!(lost.read(&mut [0]).await.is_err(), "a flow outlived its zone");
        for _ in 0..20 {
            let refused = lab.connect(dead).await.map_err(|e| e.kind());
            assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
            assert!(ask_at(&lab, alive).await.is_ok_and(|answer| answer.contains("hello")));
        }
        assert!(exchange(&mut kept).await.contains("hello"));
        set(&lab, zone, Fault::None).await;
        assert!(ask_at(&lab, dead).await.is_ok_and(|answer| answer.contains("hello")), "{zone} is back");
    }
}

#[tokio::test]
async fn a_blackholed_zone_is_silent_and_its_flows_go_on_when_it_is_mended() {
    let lab = Lab::start(|_| {}).await;
    let mut held = lab.client().await;
    exchange(&mut held).await;
    set(&lab, "zone-a", Fault::Blackhole).await;
    held.write_all(b"hello\n").await.expect("the kernel takes it");
    let silent = tokio::time::timeout(Duration::from_millis(150), lab.connect(lab.entry)).await;
    assert!(silent.is_err(), "a connect to a blackhole came back: {silent:?}");
    let mut byte = [0];
    assert_eq!(held.try_read(&mut byte).map_err(|e| e.kind()), Err(io::ErrorKind::WouldBlock));
    for _ in 0..20 {
        assert!(ask_at(&lab, other(&lab)).await.is_ok_and(|answer| answer.contains("hello")));
    }
    set(&lab, "zone-a", Fault::None).await;
    let mut answer = [0; 64];
    let read = held.read(&mut answer).await.expect("the flow goes on");
    assert!(String::from_utf8_lossy(&answer[..read]).contains("hello"));
    assert!(ask_at(&lab, lab.entry).await.is_ok_and(|answer| answer.contains("hello")));
}

#[tokio::test]
async fn a_blackholed_point_of_presence_holds_its_flows_until_it_is_mended() {
    let lab = Lab::start(|_| {}).await;
    let mut held = lab.client().await;
    exchange(&mut held).await;
    let icn = lab.pops.get(lab.front.view().atlas.find_pop("ICN").expect("ICN"));
    icn.set_fault(Fault::Blackhole);
    icn.settled().await;
    // Its route is still announced: a new client is accepted and hears nothing.
    let mut waits = lab.client().await;
    waits.write_all(b"hello\n").await.expect("the kernel takes it");
    held.write_all(b"hello\n").await.expect("the kernel takes it");
    lab.until(|lab| lab.proxy.status().active_flows == 2).await;
    icn.set_fault(Fault::None);
    let mut answer = [0; 64];
    for client in [&mut held, &mut waits] {
        let read = client.read(&mut answer).await.expect("it goes on");
        assert!(String::from_utf8_lossy(&answer[..read]).contains("hello"));
    }
}
