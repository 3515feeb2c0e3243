//! DNS messages: what is checked is in `checks/dns_message.rs`.
#![no_main]

#[path = "../checks/dns_message.rs"]
mod dns_message;
#[path = "../checks/message_world.rs"]
mod message_world;
#[path = "../checks/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

// Both worlds are made before anything is timed.
fuzz_target!(
    // Both worlds are made before anything is timed.
    init: {
        dns_message::check(&[0, 0]);
        dns_message::check(&[0, 1]);
    },
    |data: &[u8]| dns_message::check(data)
);
