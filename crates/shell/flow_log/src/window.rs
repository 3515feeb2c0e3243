use std::time::Duration;

/// Longest time that one record tells of (guide, "Flow logs": flows are captured in windows of at most a minute).
pub const CAPTURE_WINDOW: Duration = Duration::from_secs(60);

/// How often a proxy says what a flow has moved: often enough that a late timer keeps the window below
/// [`CAPTURE_WINDOW`] (Perigee's choice).
pub const REPORT_EVERY: Duration = Duration::from_secs(50);

/// What a flow has moved since it began.
///
/// Packets are those between client and edge. They may be counted in 32 bits that wrap round: only differences over
/// less than 2^32 packets count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowTotals {
    /// Payload towards the endpoint, bytes.
    pub payload_in: u64,
    /// Payload towards the client, bytes.
    pub payload_out: u64,
    /// Packets from the client.
    pub packets_in: u32,
    /// Packets to the client.
    pub packets_out: u32,
}

/// What moved in one direction in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets.
    pub packets: u64,
    /// Bytes, headers included.
    pub bytes: u64,
}

/// What moved in a flow in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Towards the endpoint.
    pub ingress: Counts,
    /// Towards the client.
    pub egress: Counts,
    /// When the window began, seconds since 1970.
    pub start_s: u64,
    /// When it ended, seconds since 1970; at most a minute later and never before.
    pub end_s: u64,
}

impl Moved {
    /// Whether nothing moved either way: such a window has no record, the flow's next one tells that it lived on
    /// (Perigee's choice: an idle flow is no traffic, and without traffic there is no file).
    pub fn is_quiet(&self) -> bool {
        (self.ingress, self.egress) == (Counts::default(), Counts::default())
    }
}

/// What a window's packets spend on headers: the protocols that differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// 20 bytes and 12 of timestamps, which both ends ask for unless somebody has turned them off (RFC 7323); other
    /// options are not counted.
    Tcp,
    /// 8 bytes.
    Udp,
}

impl Transport {
    /// Bytes of the headers of one packet from the IP header on, 20 bytes or 40 without options (Perigee's choice: the
    /// guide says that headers count and not which; a proxy sees no packet).
    pub const fn header_bytes(self, is_ipv4: bool) -> u8 {
        let ip = if is_ipv4 { 20 } else { 40 };
        match self {
            Self::Tcp => ip + 32,
            Self::Udp => ip + 8,
        }
    }
}

/// Cuts what a flow has moved in all into what it moved in each window.
#[derive(Clone, Copy, Debug)]
pub struct FlowWindow {
    told: FlowTotals,
    start_s: u64,
    header_bytes: u8,
}

impl FlowWindow {
    /// The first window of a flow that begins at `now_s`, seconds since 1970, and whose packets have so many bytes of
    /// headers.
    pub const fn new(now_s: u64, header_bytes: u8) -> Self {
        let told = FlowTotals { payload_in: 0, payload_out: 0, packets_in: 0, packets_out: 0 };
        Self { told, start_s: now_s, header_bytes }
    }

    /// Ends the window at `now_s` and begins the next: what moved since the last cut, of `totals` since the beginning.
    ///
    /// Nothing is told twice or lost: over all cuts the counts add up to the totals. A window that was cut too late
    /// tells its counts for the last minute; a clock that went back makes an empty span, not a negative one.
    pub fn cut(&mut self, totals: &FlowTotals, now_s: u64) -> Moved {
        let earliest_s = now_s.saturating_sub(CAPTURE_WINDOW.as_secs());
        let start_s = self.start_s.clamp(earliest_s, now_s);
        let told = std::mem::replace(&mut self.told, *totals);
        self.start_s = now_s;
        let header_bytes = u64::from(self.header_bytes);
        let counts = |payload: u64, packets: u32| {
            let packets = u64::from(packets);
            Counts { packets, bytes: payload.saturating_add(packets * header_bytes) }
        };
        let payload_in = totals.payload_in.saturating_sub(told.payload_in);
        let payload_out = totals.payload_out.saturating_sub(told.payload_out);
        Moved {
            ingress: counts(payload_in, totals.packets_in.wrapping_sub(told.packets_in)),
            egress: counts(payload_out, totals.packets_out.wrapping_sub(told.packets_out)),
            start_s,
            end_s: now_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_counts_with_its_headers() {
        for (transport, is_ipv4, bytes) in [
            (Transport::Tcp, true, 52),
            (Transport::Tcp, false, 72),
            (Transport::Udp, true, 28),
            (Transport::Udp, false, 48),
        ] {
            assert_eq!(transport.header_bytes(is_ipv4), bytes, "{transport:?}");
        }
        let mut window = FlowWindow::new(100, 28);
        let moved = window.cut(&FlowTotals { payload_in: 10, packets_in: 2, ..FlowTotals::default() }, 101);
        assert_eq!(moved.ingress, Counts { packets: 2, bytes: 66 });
        assert_eq!(moved.egress, Counts::default());
        assert!(!moved.is_quiet());
    }

    #[test]
    fn packets_are_counted_beyond_thirty_two_bits() {
        let mut window = FlowWindow::new(0, 0);
        let at = |packets_in| FlowTotals { packets_in, ..FlowTotals::default() };
        let before = window.cut(&at(u32::MAX - 1), 1).ingress.packets;
        assert_eq!(before + window.cut(&at(3), 2).ingress.packets, (1 << 32) + 3);
    }

    proptest! {
        #[test]
        fn windows_add_up_follow_one_another_and_last_a_minute_at_most(
            steps in prop::collection::vec((0_u64..5_000, 0_u64..5_000, 0_u32..9, 0_u32..9, 0_u64..200), 1..40),
            back in 0_usize..40,
        ) {
            let (mut totals, mut now) = (FlowTotals::default(), 1_000);
            let mut window = FlowWindow::new(now, 52);
            let mut sum = (Counts::default(), Counts::default());
            let mut last_end = now;
            for (i, (payload_in, payload_out, packets_in, packets_out, seconds)) in steps.into_iter().enumerate() {
                totals.payload_in += payload_in;
                totals.payload_out += payload_out;
                totals.packets_in += packets_in;
                totals.packets_out += packets_out;
                now = if i == back { now - seconds } else { now + seconds };
                let moved = window.cut(&totals, now);
                prop_assert!(moved.start_s <= moved.end_s && moved.end_s - moved.start_s <= CAPTURE_WINDOW.as_secs());
                prop_assert!(moved.end_s == now && (moved.start_s >= last_end || now < last_end));
                prop_assert_eq!(moved.is_quiet(), [payload_in, payload_out, packets_in.into(), packets_out.into()] == [0; 4]);
                last_end = now;
                for (sum, part) in [(&mut sum.0, moved.ingress), (&mut sum.1, moved.egress)] {
                    sum.packets += part.packets;
                    sum.bytes += part.bytes;
                }
            }
            let whole = |payload, packets: u32| Counts { packets: packets.into(), bytes: payload + u64::from(packets) * 52 };
            prop_assert_eq!(sum, (whole(totals.payload_in, totals.packets_in), whole(totals.payload_out, totals.packets_out)));
        }
    }
}
