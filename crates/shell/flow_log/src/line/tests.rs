use proptest::prelude::*;

use super::*;

/// A sample in the form of the guide's, with this specification's protocol number.
const WITHOUT_PRESERVATION: &str = "1.0 123456789012 5ba8bd7f-1c33-4ad5-8b7d-0123456789ab 203.0.113.7 50412 \
     192.0.2.250 80 198.51.100.5 480 6 IPV4 7 1028 1542931500 1542931559 ACCEPT OK 198.51.100.77 41000 \
     ap-northeast-2 ICN54 INGRESS -";

pub(crate) fn record() -> FlowRecord {
    FlowRecord::from_line(WITHOUT_PRESERVATION).unwrap()
}

#[test]
fn a_record_has_the_documented_fields_in_their_order() {
    let record = record();
    assert_eq!(record.to_string(), WITHOUT_PRESERVATION);
    assert_eq!(WITHOUT_PRESERVATION.split(' ').count(), 23);
    let flow = &record.flow;
    assert_eq!((flow.endpoint.port(), flow.protocol, flow.version()), (480, 6, "1.0"));
    assert_eq!(flow.source, EdgeSource::Edge(Some("198.51.100.77:41000".parse().unwrap())));
    assert_eq!((record.packets, record.bytes, record.end_s - record.start_s), (7, 1028, 59));
}

#[test]
fn with_client_ip_preservation_the_version_is_2_and_the_network_is_named() {
    let line = WITHOUT_PRESERVATION.replace("1.0 ", "2.0 ").replace("198.51.100.77 41000", "- 0");
    let line = line.replace("INGRESS -", "EGRESS vpc-0a1 -");
    let record = FlowRecord::from_line(&line).unwrap();
    assert_eq!(record.flow.vpc_id(), Some("vpc-0a1"));
    assert_eq!((record.direction, record.flow.edge_end()), (Direction::Egress, None));
    assert_eq!((record.to_string(), line.split(' ').count()), (line, 24));
}

#[test]
fn what_is_no_record_is_refused_by_the_name_of_its_field() {
    for (from, to, field) in [
        ("1.0 ", "3.0 ", "version"),
        ("123456789012", "12345678901", "aws_account_id"),
        ("5ba8bd7f", "5BA8BD7F", "accelerator_id"),
        ("203.0.113.7", "203.0.113.256", "client_ip"),
        ("50412", "65536", "client_port"),
        ("50412", "+50412", "client_port"),
        ("50412", "050412", "client_port"),
        ("192.0.2.250", "2001:db8::1", "ip_address_type"),
        (" 6 IPV4", " TCP IPV4", "protocol"),
        ("IPV4", "IPV6", "ip_address_type"),
        (" 1028 ", " -1 ", "bytes"),
        ("1542931559", "1542931499", "end_time"),
        ("ACCEPT", "REJECT", "action"),
        (" OK ", " NODATA ", "log-status"),
        ("198.51.100.77 41000", "- 41000", "globalaccelerator_source_port"),
        ("ap-northeast-2", "ap/northeast/2", "endpoint_region"),
        ("ICN54", "-", "globalaccelerator_region"),
        ("INGRESS", "ingress", "direction"),
        ("INGRESS -", "INGRESS BPA", "reject_reason"),
    ] {
        let line = WITHOUT_PRESERVATION.replacen(from, to, 1);
        assert_ne!(line, WITHOUT_PRESERVATION);
        match FlowRecord::from_line(&line) {
            Err(LineError::Field { name, .. }) => assert_eq!(name, field, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn a_line_with_fewer_fields_more_fields_or_too_many_bytes_is_refused() {
    let fewer = WITHOUT_PRESERVATION.trim_end_matches(" -");
    assert_eq!(FlowRecord::from_line(fewer), Err(LineError::Fields { wanted: 23 }));
    assert_eq!(FlowRecord::from_line(&format!("{WITHOUT_PRESERVATION} -")), Err(LineError::Fields { wanted: 23 }));
    assert_eq!(FlowRecord::from_line(&" ".repeat(LINE_MAX + 1)), Err(LineError::TooLong));
    let both = WITHOUT_PRESERVATION.replace("1.0 ", "2.0 ").replace("INGRESS -", "INGRESS - -");
    assert!(FlowRecord::from_line(&both).is_err(), "an edge's address in version 2.0");
}

prop_compose! {
    fn end(is_ipv4: bool)(bits: u128, port: u16) -> SocketAddr {
        let v4 = std::net::Ipv4Addr::from_bits(bits as u32);
        let address: IpAddr = if is_ipv4 { v4.into() } else { std::net::Ipv6Addr::from_bits(bits).into() };
        SocketAddr::new(address, port)
    }
}

fn source() -> impl Strategy<Value = EdgeSource> {
    let vpc = proptest::option::of("[a-z][a-z0-9-]{0,63}".prop_map(Arc::from));
    prop_oneof![
        proptest::option::of(any::<bool>().prop_flat_map(end)).prop_map(EdgeSource::Edge),
        vpc.prop_map(|vpc_id| EdgeSource::Client { vpc_id }),
    ]
}

fn records() -> impl Strategy<Value = FlowRecord> {
    let ends = any::<bool>().prop_flat_map(|is_ipv4| (end(is_ipv4), end(is_ipv4)));
    let ids = (0_u64..1_000_000_000_000, any::<u128>(), any::<u8>());
    let names = ("[a-z]{1,8}-[a-z0-9-]{1,20}", "[A-Z]{3}[0-9]{0,2}");
    let counts = any::<(u64, u64, u32, u32, bool, bool)>();
    let parts = (ends, any::<bool>().prop_flat_map(end), ids, source(), names, counts);
    parts.prop_map(|((client, destination), endpoint, ids, source, (region, edge), counts)| {
        let (account, accelerator, protocol) = ids;
        let (packets, bytes, start_s, lasted, is_ok, is_in) = counts;
        let flow = FlowIdentity {
            account: perigee_model::AccountId::new(account).unwrap(),
            accelerator: perigee_model::AcceleratorId::from_bits(accelerator),
            client,
            destination,
            endpoint,
            protocol,
            source,
            endpoint_region: RegionCode::new(&region),
            edge: PopCode::new(&edge),
        };
        FlowRecord {
            flow: Arc::new(flow),
            packets,
            bytes,
            start_s: start_s.into(),
            end_s: u64::from(start_s) + u64::from(lasted),
            status: if is_ok { LogStatus::Ok } else { LogStatus::SkipData },
            direction: if is_in { Direction::Ingress } else { Direction::Egress },
        }
    })
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(record in records()) {
        let line = record.to_string();
        prop_assert!(line.len() <= LINE_MAX);
        prop_assert_eq!(FlowRecord::from_line(&line), Ok(record));
    }

    #[test]
    fn no_line_panics_and_what_is_read_is_written_the_same(record in records(), at: usize, other in "[ -~]{0,3}") {
        let mut line = record.to_string();
        let at = at % line.len();
        line.replace_range(at..at + 1, &other);
        if let Ok(read) = FlowRecord::from_line(&line) {
            prop_assert_eq!(FlowRecord::from_line(&read.to_string()), Ok(read));
        }
    }
}
