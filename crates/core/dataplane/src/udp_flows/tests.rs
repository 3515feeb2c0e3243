use super::*;

const IDLE: Duration = Duration::from_secs(30);

fn at(s: u64) -> Instant {
    Instant::START + Duration::from_secs(s)
}

fn flow(port: u16) -> Flow {
    Flow::udp(([127, 82, 200, 9], port).into(), ([127, 75, 2, 1], 53).into())
}

fn table(limit: u32) -> UdpFlows<&'static str> {
    UdpFlows::new(limit, IDLE, 1)
}

#[test]
fn t9_a_datagram_every_29_s_keeps_its_flow_and_a_gap_of_31_s_ends_it() {
    let mut flows = table(10);
    let (id, _) = flows.open(flow(1), "dead endpoint", at(0));
    for n in 1..=100 {
        assert_eq!(flows.expire(at(29 * n)), None);
        assert_eq!(flows.find(&flow(1), at(29 * n)), Some(id));
    }
    let last = 29 * 100;
    assert_eq!(flows.find(&flow(1), at(last + 31)), None, "the next datagram is routed afresh");
    let (next, ended) = flows.open(flow(1), "another", at(last + 31));
    let ended = ended.expect("the old flow is over");
    assert_eq!((ended.kept, ended.why, ended.last), ("dead endpoint", UdpEnd::Idle, at(last)));
    assert_ne!(next, id);
    assert_eq!(flows.get(id), None);
}

#[test]
fn an_answer_keeps_a_flow_as_a_question_does() {
    let mut flows = table(10);
    let (id, _) = flows.open(flow(1), "a", at(0));
    assert!(flows.touch(id, at(29)).is_some());
    assert_eq!(flows.find(&flow(1), at(58)), Some(id));
    assert_eq!(flows.poll_timeout(), Some(at(88)));
    assert!(flows.touch(id, at(88)).is_none(), "an answer after the time-out belongs to nobody");
    assert_eq!(flows.expire(at(88)).map(|ended| ended.why), Some(UdpEnd::Idle));
    assert!(flows.is_empty());
}

#[test]
fn beyond_the_limit_the_flow_silent_for_longest_makes_room() {
    let mut flows = table(2);
    flows.open(flow(1), "a", at(0));
    flows.open(flow(2), "b", at(1));
    flows.find(&flow(1), at(2)).expect("it is there");
    let (_, ended) = flows.open(flow(3), "c", at(3));
    let ended = ended.expect("the table was full");
    assert_eq!((ended.kept, ended.why), ("b", UdpEnd::Evicted));
    assert_eq!(flows.len(), 2);
}

#[test]
fn a_lower_limit_is_met_by_ending_the_oldest_and_a_limit_of_none_means_one() {
    let mut flows = table(3);
    for port in 1..=3 {
        flows.open(flow(port), "x", at(u64::from(port)));
    }
    flows.set_limits(0, IDLE);
    let ended: Vec<_> = std::iter::from_fn(|| flows.expire(at(4))).map(|e| (e.flow.client.port(), e.why)).collect();
    assert_eq!(ended, [(1, UdpEnd::Evicted), (2, UdpEnd::Evicted)]);
    assert!(flows.find(&flow(3), at(4)).is_some());
}

#[test]
fn an_identifier_survives_the_way_through_a_number_and_means_one_flow_for_ever() {
    let mut flows = table(1);
    let (first, _) = flows.open(flow(1), "a", at(0));
    assert_eq!(UdpFlowId::from_bits(first.to_bits()), first);
    flows.remove(first);
    let (second, _) = flows.open(flow(1), "b", at(0));
    assert_eq!((flows.get(first), flows.get(second)), (None, Some(&"b")));
    assert!(second.to_bits() < 1 << 63);
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut flows = table(4);
    flows.open(flow(1), "a", at(100));
    flows.open(flow(2), "b", at(90));
    assert_eq!(flows.expire(at(129)), None);
    assert_eq!(flows.expire(at(130)).map(|e| e.kept), Some("a"));
    assert_eq!(flows.expire(at(130)).map(|e| e.kept), Some("b"), "it came at 100 as far as the table knows");
}
