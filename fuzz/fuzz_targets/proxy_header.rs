//! PROXY protocol v2 headers: no bytes panic, and what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perigee_net::proxy_protocol::{Header, decode, encode};

fuzz_target!(|data: &[u8]| {
    let Some((fixed, rest)) = data.split_first_chunk::<16>() else { return };
    if let Ok(Header::Proxied { source, destination, edge }) = decode(fixed, rest) {
        let name = edge.clone().unwrap_or_default();
        let again = encode(source, destination, &name);
        let (fixed, rest) = again.split_first_chunk::<16>().expect("a header has 16 bytes");
        assert_eq!(decode(fixed, rest), Ok(Header::Proxied { source, destination, edge }));
    }
});
