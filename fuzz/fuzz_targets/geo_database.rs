//! MaxMind databases: any bytes are a database or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perigee_geo::Database;

fuzz_target!(|data: &[u8]| {
    let _ = Database::load(data);
});
