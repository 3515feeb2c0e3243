//! Zone files: what is checked is in `checks/dns_zone.rs`.
#![no_main]

#[path = "../checks/dns_zone.rs"]
mod dns_zone;
#[path = "../checks/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // The world is made before anything is timed.
    init: dns_zone::check(""),
    |text: &str| dns_zone::check(text)
);
