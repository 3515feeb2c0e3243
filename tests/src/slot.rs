//! Loopback addresses that no other test uses at the same time.
//!
//! Each slot is one second octet of 127.0.0.0/8, held by a file lock, so that tests of several processes can run side
//! by side. Ports are the usual ones: every simulated machine has an address of its own.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};

/// Second octets used: none of them is a simulated place of `geo/overlay.csv`.
const FIRST: u8 = 140;
const SLOTS: u8 = 100;

/// The port of the accelerator and of the load balancers.
pub const PORT: u16 = 8080;

/// A set of addresses, free for others once it is dropped.
#[derive(Debug)]
pub struct Slot {
    octet: u8,
    _lock: File,
}

impl Slot {
    /// Takes a free one; the first one tried depends on the process, so that a run does not meet the connections that
    /// the run before left in TIME_WAIT. Panics when all are taken or the temporary directory cannot be written.
    pub fn take() -> Self {
        let start = u8::try_from(std::process::id() % u32::from(SLOTS)).unwrap_or(0);
        for n in 0..SLOTS {
            let octet = FIRST + (start + n) % SLOTS;
            let path = std::env::temp_dir().join(format!("perigee-test-slot-{octet}.lock"));
            let file = File::options().create(true).truncate(false).write(true).open(&path);
            let file = file.unwrap_or_else(|e| panic!("cannot open {}: {e}", path.display()));
            if file.try_lock().is_ok() {
                return Self { octet, _lock: file };
            }
        }
        panic!("all {SLOTS} sets of loopback addresses are in use")
    }

    /// 127.SLOT.`network`.`host`.
    pub fn address(&self, network: u8, host: u8) -> IpAddr {
        [127, self.octet, network, host].into()
    }

    /// One of the accelerator's two static addresses, 0 or 1.
    pub fn accelerator(&self, which: u8) -> SocketAddr {
        SocketAddr::new(self.address(75, 1 + which), PORT)
    }

    /// A load balancer node: network 82 is Seoul and 81 Tokyo, zone 1 is the region's `a` and 3 its `c`.
    pub fn node(&self, network: u8, zone: u8) -> SocketAddr {
        SocketAddr::new(self.address(network, zone), PORT)
    }

    /// The instance of a region's network that UDP goes to.
    pub fn instance(&self, network: u8) -> IpAddr {
        self.address(network, 20)
    }

    /// The target in the same zone.
    pub fn target(&self, network: u8, zone: u8) -> SocketAddr {
        SocketAddr::new(self.address(network, 10 * zone), 9000)
    }

    /// Where DNS listens.
    pub fn dns(&self) -> SocketAddr {
        SocketAddr::new(self.address(53, 1), 5300)
    }

    /// Where the admin API listens.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.address(70, 1), 7070)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tests_at_once_have_no_address_in_common() {
        let (a, b) = (Slot::take(), Slot::take());
        assert_ne!(a.octet, b.octet);
        let again = {
            let octet = a.octet;
            drop(a);
            Slot::take().octet == octet
        };
        assert!(again, "a dropped slot is free");
    }
}
